// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// As under a hook of git, or `git rebase --exec`: the copy is a repository of its own, and that of the
// checkout is not written to.
func TestACopyLeavesTheCheckoutAlone(t *testing.T) {
	from := t.TempDir()
	if err := os.WriteFile(filepath.Join(from, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := (scratch{from}).in(t.Context(), "git", "init", "-q"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	before, err := os.ReadFile(filepath.Join(from, ".git", "config"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_DIR", filepath.Join(from, ".git"))
	t.Setenv("GIT_WORK_TREE", from)
	s, err := newScratch(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	defer s.remove()
	if _, err := os.Stat(filepath.Join(s.dir, ".git", "HEAD")); err != nil {
		t.Errorf("the copy is no repository: %v", err)
	}
	after, err := os.ReadFile(filepath.Join(from, ".git", "config"))
	if err != nil || !bytes.Equal(after, before) {
		t.Errorf("the checkout has the configuration %q (%v), want %q", after, err, before)
	}
	if _, err := os.Stat(filepath.Join(from, ".git", "refs", "heads", "master")); err == nil {
		t.Error("a commit was made in the checkout")
	}
	if out, err := s.in(t.Context(), "git", "log", "--format=%s"); err != nil || firstLine(out) != "copy" {
		t.Errorf("the copy has the commits %q: %v", out, err)
	}
}
