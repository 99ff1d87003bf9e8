// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// ourVersion are modules that follow the Kubernetes release exactly: what we link, and the
// programs of the test node.
var ourVersion = []string{".", "hack/tools/kubernetes"}

// ourMinor are programs of other projects that act within the test node. They are built with
// the libraries of their own release, which must be of the same minor version.
var ourMinor = []string{
	"hack/tools/external-provisioner", "hack/tools/external-resizer", "hack/tools/external-snapshotter", "hack/tools/kwok",
}

// outside are programs that no node runs, or that link Kubernetes for their own purposes only.
var outside = []string{
	"hack/tools/containerd", "hack/tools/controller-gen", "hack/tools/coredns", "hack/tools/etcd", "hack/tools/helm",
}

// staged are libraries that Kubernetes releases as v0.MINOR.PATCH with each v1.MINOR.PATCH.
var staged = regexp.MustCompile(`^k8s\.io/[a-z-]+$`)

// pin is a module and its version, as a go.mod requires or replaces it.
type pin struct{ Path, Version string }

// pins are what the go.mod of a folder says of Kubernetes and of its libraries.
func pins(t *testing.T, folder string) []pin {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
	cmd.Dir = folder
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod edit in %s: %v", folder, err)
	}
	var mod struct {
		Require []pin
		Replace []struct{ New pin }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	all := mod.Require
	for _, r := range mod.Replace {
		all = append(all, r.New)
	}
	var found []pin
	for _, p := range all {
		// A library without releases, or one whose version a replacement decides.
		unreleased := strings.HasPrefix(p.Version, "v0.0.0")
		if staged.MatchString(p.Path) && !unreleased {
			found = append(found, p)
		}
	}
	return found
}

// TestKubernetesVersionsAgree keeps kubernetesVersion the one place where the version is
// chosen: everything else must follow it. CONTRIBUTING.md says how.
func TestKubernetesVersionsAgree(t *testing.T) {
	source, err := SourceRoot()
	if err != nil {
		t.Fatal(err)
	}
	library := "v0" + strings.TrimPrefix(kubernetesVersion, "v1")
	minor := library[:strings.LastIndex(library, ".")+1]
	for _, folder := range ourVersion {
		seen := 0
		for _, p := range pins(t, filepath.Join(source, folder)) {
			seen++
			want := library
			if p.Path == "k8s.io/kubernetes" {
				want = kubernetesVersion
			}
			if p.Version != want {
				t.Errorf("%s/go.mod has %s %s, want %s", folder, p.Path, p.Version, want)
			}
		}
		if seen < 5 {
			t.Errorf("%s/go.mod has only %d modules of Kubernetes", folder, seen)
		}
	}
	for _, folder := range ourMinor {
		for _, p := range pins(t, filepath.Join(source, folder)) {
			if !strings.HasPrefix(p.Version, minor) {
				t.Errorf("%s/go.mod has %s %s, want %sx", folder, p.Path, p.Version, minor)
			}
		}
	}
	testReadmeTells(t, source, strings.TrimPrefix(kubernetesVersion[:strings.LastIndex(kubernetesVersion, ".")], "v"))
}

// testReadmeTells: README.md names the version that the tests run on.
func testReadmeTells(t *testing.T, source, minor string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(source, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)(^|\s)` + regexp.QuoteMeta(minor) + `\b`).Match(text) {
		t.Errorf("README.md does not name Kubernetes %s", minor)
	}
}

// TestEveryModuleHasARule fails for a tool module that links Kubernetes and is in no list above.
func TestEveryModuleHasARule(t *testing.T) {
	source, err := SourceRoot()
	if err != nil {
		t.Fatal(err)
	}
	ruled := map[string]bool{}
	for _, list := range [][]string{ourVersion, ourMinor, outside} {
		for _, folder := range list {
			ruled[folder] = true
		}
	}
	found, err := filepath.Glob(filepath.Join(source, "hack", "tools", "*", "go.mod"))
	if err != nil || len(found) < 10 {
		t.Fatalf("found %d modules (%v)", len(found), err)
	}
	for _, path := range found {
		folder, err := filepath.Rel(source, filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		if len(pins(t, filepath.Dir(path))) > 0 && !ruled[folder] {
			t.Errorf("%s links Kubernetes: say in this file whether it must follow its version", folder)
		}
	}
}
