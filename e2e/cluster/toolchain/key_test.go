// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeyChangesWithEverythingThatDecidesTheBytes(t *testing.T) {
	base := recipe{
		goMod:     []byte("module a"),
		goSum:     []byte("sum"),
		goVersion: "go1.26.0",
		arch:      "amd64",
		link:      []string{"x -X y=z"},
	}
	cases := map[string]func(*recipe){
		"another requirement":     func(r *recipe) { r.goMod = []byte("module b") },
		"another checksum":        func(r *recipe) { r.goSum = []byte("mus") },
		"another compiler":        func(r *recipe) { r.goVersion = "go1.26.1" },
		"another architecture":    func(r *recipe) { r.arch = "arm64" },
		"another linker flag":     func(r *recipe) { r.link = []string{"x -X y=w"} },
		"a boundary that shifted": func(r *recipe) { r.goMod, r.goSum = []byte("module as"), []byte("um") },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			changed := base
			change(&changed)
			if changed.key() == base.key() {
				t.Errorf("key %s did not change", base.key())
			}
		})
	}
	if again := base.key(); again != base.key() || len(again) != 16 {
		t.Errorf("key %q is not 16 stable characters", again)
	}
}

func TestEveryToolIsPinned(t *testing.T) {
	source, err := SourceRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range tools {
		text, err := os.ReadFile(filepath.Join(source, "hack", "tools", tool.Module, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		// The tool directive keeps "go mod tidy" from dropping the requirement.
		if !strings.Contains(string(text), tool.Package+"\n") {
			t.Errorf("hack/tools/%s/go.mod has no tool directive for %s", tool.Module, tool.Package)
		}
	}
}

func TestBinaryName(t *testing.T) {
	cases := map[string]struct{ pkg, want string }{
		"a command":              {"k8s.io/kubernetes/cmd/kubelet", "kubelet"},
		"a module's root":        {"github.com/minio/mc", "mc"},
		"a major version's root": {"go.etcd.io/etcd/server/v3", "server"},
		"a name like a version":  {"example.com/cmd/v3x", "v3x"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := binaryName(c.pkg); got != c.want {
				t.Errorf("binaryName(%q) = %q, want %q", c.pkg, got, c.want)
			}
		})
	}
}

func TestUnknownToolIsRefused(t *testing.T) {
	if _, err := group([]string{"kubelet", "kubeletd"}); err == nil || !strings.Contains(err.Error(), "kubeletd") {
		t.Errorf("group accepted an unknown tool: %v", err)
	}
}
