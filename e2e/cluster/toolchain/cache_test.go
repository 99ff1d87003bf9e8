// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// putFile puts a file into a cache directory as a build would.
func putFile(t *testing.T, dir, name, content string) {
	t.Helper()
	built := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(built, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := install(built, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedBinariesAreFound(t *testing.T) {
	tool := Tool{Name: "kubelet"}
	cases := map[string]struct {
		damage func(t *testing.T, path string)
		want   bool
	}{
		"an intact binary": {func(*testing.T, string) {}, false},
		"a binary that lost its end": {func(t *testing.T, path string) {
			if err := os.Truncate(path, 3); err != nil {
				t.Fatal(err)
			}
		}, true},
		"a binary without a checksum": {func(t *testing.T, path string) {
			if err := os.Remove(path + ".sha256"); err != nil {
				t.Fatal(err)
			}
		}, true},
		"a checksum without a binary": {func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			putFile(t, dir, tool.Name, "program")
			c.damage(t, filepath.Join(dir, tool.Name))
			if got := len(damaged(dir, []Tool{tool})) > 0; got != c.want {
				t.Errorf("damaged = %t, want %t", got, c.want)
			}
		})
	}
}

func TestOnlyThePinnedVersionCountsAsBuilt(t *testing.T) {
	cache, err := Open(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	cache.Root = t.TempDir()
	version, err := goVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := cache.moduleDir("etcd", version)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(cache.Root, "etcd", "another-key")
	for _, d := range []string{dir, other} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	putFile(t, other, "etcd", "another version")
	if got, err := cache.Built(t.Context(), "etcd"); err == nil {
		t.Errorf("Built = %s, which is not the pinned version", got)
	}
	putFile(t, dir, "etcd", "program")
	if got, err := cache.Built(t.Context(), "etcd"); err != nil || got != filepath.Join(dir, "etcd") {
		t.Errorf("Built = %s, %v", got, err)
	}
}

func TestLockWaitsForItsHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".lock")
	unlock, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := lock(short, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a held lock was given again: %v", err)
	}
	unlock()
	if again, err := lock(t.Context(), path); err != nil {
		t.Errorf("a released lock is refused: %v", err)
	} else {
		again()
	}
}

func TestLocalProgramIsBuiltOnceAndKept(t *testing.T) {
	source, err := SourceRoot()
	if err != nil {
		t.Fatal(err)
	}
	cache := &Cache{Root: t.TempDir(), Source: source, Arch: "amd64", Log: new(bytes.Buffer)}
	first, err := cache.Local(t.Context(), "./e2e/probe/pause")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first, []byte("damaged"), 0o755); err != nil {
		t.Fatal(err)
	}
	second, err := cache.Local(t.Context(), "./e2e/probe/pause")
	if err != nil {
		t.Fatal(err)
	}
	if first != second {
		t.Errorf("unchanged sources gave two paths: %s, %s", first, second)
	}
	if text, err := os.ReadFile(second); err != nil || bytes.Equal(text, []byte("damaged")) {
		t.Errorf("a damaged program was handed out (%v)", err)
	}
}

func TestMissingPackagesAreNamedOnce(t *testing.T) {
	files := []systemFile{
		{"runc", "runc", ""},
		{"/usr/lib/cni/ptp", "plugins", ""},
		{"/usr/lib/cni/loopback", "plugins", ""},
		{"nft", "nftables", ""},
	}
	there := func(path string) bool { return path == "nft" }
	if got, want := missingPackages(files, there), []string{"runc", "plugins"}; !slices.Equal(got, want) {
		t.Errorf("missingPackages = %v, want %v", got, want)
	}
}
