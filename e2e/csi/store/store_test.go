// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func open(t *testing.T, dir string) *Shelf[Volume] {
	t.Helper()
	store, err := Open[Volume](dir)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func fill(content string) func(string) error {
	return func(image string) error { return os.WriteFile(image, []byte(content), 0o600) }
}

func TestRecordsSurviveReopening(t *testing.T) {
	dir := t.TempDir()
	want := Volume{
		ID: "pvc-1", Owner: Owner{Namespace: "ns", Name: "data"}, CapacityBytes: 1 << 20, Block: true,
		AccessModes: []string{"A", "B"},
		Parameters:  map[string]string{"p": "1"}, Attributes: map[string]string{"tier": "fast"},
		Origin:    Origin{Snapshot: "s"},
		CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
	}
	if err := open(t, dir).Create("pvc-1", want, fill("data")); err != nil {
		t.Fatalf("create: %v", err)
	}
	store := open(t, dir)
	want.CapacityBytes *= 2
	if err := store.Put("pvc-1", want); err != nil {
		t.Fatalf("put: %v", err)
	}
	got, err := open(t, dir).List()
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	if diff := cmp.Diff([]Volume{want}, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if content, err := os.ReadFile(store.Image("pvc-1")); err != nil || string(content) != "data" {
		t.Errorf("image holds %q, %v", content, err)
	}
}

func TestFailedCreateLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	broken := errors.New("mkfs failed")
	err := open(t, dir).Create("pvc-1", Volume{ID: "pvc-1"}, func(image string) error {
		return errors.Join(fill("half")(image), broken)
	})
	if !errors.Is(err, broken) {
		t.Errorf("create: %v, want %v", err, broken)
	}
	wantEmpty(t, dir)
}

func TestDeletedRecordIsGone(t *testing.T) {
	dir := t.TempDir()
	store := open(t, dir)
	if err := store.Create("pvc-1", Volume{ID: "pvc-1"}, fill("data")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := store.Delete("pvc-1"); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if _, err := store.Get("pvc-1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("get: %v, want not found", err)
	}
	wantEmpty(t, dir)
}

func TestIdsThatAreNoDirectoryOfOurs(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "volumes")
	store := open(t, dir)
	precious := filepath.Join(parent, "precious")
	if err := os.Mkdir(precious, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", ".", "..", "../precious", "a/b", ".draft-x", "A", strings.Repeat("a", 200)} {
		if err := store.Create(id, Volume{}, fill("data")); err == nil {
			t.Errorf("created %q", id)
		}
		if err := store.Delete(id); err != nil {
			t.Errorf("delete %q: %v", id, err)
		}
		if _, err := store.Get(id); !errors.Is(err, ErrNotFound) {
			t.Errorf("get %q: %v, want not found", id, err)
		}
	}
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("a neighbour was touched: %v", err)
	}
}

func TestID(t *testing.T) {
	if got := ID("pvc-0b1c"); got != "pvc-0b1c" {
		t.Errorf("a name that is safe becomes %q, want it to stay readable", got)
	}
	for _, name := range []string{"PVC 1", "../x", "", ".draft-x", strings.Repeat("a", 300)} {
		got := ID(name)
		if got == name || !validID.MatchString(got) || got != ID(name) {
			t.Errorf("id of %q is %q, want a safe one and always the same", name, got)
		}
	}
	if ID("a b") == ID("a c") {
		t.Error("two names have one id")
	}
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("left in the store: %v, %v", entries, err)
	}
}
