// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The sources of a path are those of the module that is required for it, which is asked for again if that fails.
func TestTheModuleOfAPath(t *testing.T) {
	unreachableProxy(t, "https://127.0.0.1:1")
	tools := filepath.Join(t.TempDir(), "hack", "tools")
	if err := os.MkdirAll(tools, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := programs(t, "package main; func main() {}", "example.com/a/b", "example.com/a", "example.com/a/bc")
	if err := os.Rename(dir, filepath.Join(tools, "kit")); err != nil {
		t.Fatal(err)
	}
	c := &Cache{Source: filepath.Dir(filepath.Dir(tools)), Log: new(bytes.Buffer)}
	for path, want := range map[string]string{
		"example.com/a": "example.com/a", "example.com/a/b/cmd/x": "example.com/a/b", "example.com/a/bd": "example.com/a",
	} {
		if got, err := provider(t.Context(), filepath.Join(tools, "kit"), path); got != want || err != nil {
			t.Errorf("%s is of %q, %v; want %q", path, got, err, want)
		}
	}
	for path, tt := range map[string]struct {
		says  string
		tries int
	}{
		"example.com/a/b/cmd/x": {"dial tcp", 2},
		"example.com/other":     {"requires no module that provides example.com/other", 1},
	} {
		var log bytes.Buffer
		c.Log = &log
		_, err := c.moduleSource(t.Context(), "kit", path)
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Count(log.String(), "again in ")+1 != tt.tries {
			t.Errorf("want %d tries and %q, have %v\n%s", tt.tries, tt.says, err, log.String())
		}
	}
	_, err := c.moduleSource(t.Context(), "none", "example.com/a")
	if err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a folder that is not there: %v", err)
	}
}
