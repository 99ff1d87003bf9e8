// SPDX-License-Identifier: Apache-2.0

// Package roottest lets tests use real loop devices and mounts without meeting anybody else's. Only tests import it.
package roottest

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/s3populator/s3populator/e2e/csi/loop"
	"github.com/s3populator/s3populator/e2e/csi/mount"
	"github.com/s3populator/s3populator/internal/testenv"
)

// Patience is how long a device may stay attached because others look at it.
const Patience = 10 * time.Second

// Dir makes a directory for a test that needs root, and skips the test without root. When the test
// ends, no device and no mount may be left in it. Its path is short: it is to hold sockets, whose
// paths are limited.
func Dir(t *testing.T) string {
	t.Helper()
	testenv.Root(t)
	dir, err := os.MkdirTemp("", "csi") //nolint:usetesting // its path would be longer, and gone when the test fails.
	if err != nil {
		t.Fatalf("make directory: %v", err)
	}
	t.Cleanup(func() {
		NothingLeft(t, dir)
		if !t.Failed() {
			if err := os.RemoveAll(dir); err != nil {
				t.Errorf("remove directory: %v", err)
			}
		}
	})
	return dir
}

// NothingLeft fails the test when a device or mount is left in dir, and frees it.
func NothingLeft(t *testing.T, dir string) {
	t.Helper()
	mounts, err := mount.List()
	if err != nil {
		t.Fatalf("list mounts: %v", err)
	}
	for _, m := range mounts {
		if !strings.HasPrefix(m.Point, dir+"/") {
			continue
		}
		t.Errorf("still mounted: %+v", m)
		if err := mount.Unmount(m.Point); err != nil {
			t.Errorf("clean up: %v", err)
		}
	}
	devices, err := loop.Under(dir)
	for begin := time.Now(); len(devices) > 0 && time.Since(begin) < Patience; devices, err = loop.Under(dir) {
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		t.Fatalf("list devices: %v", err)
	}
	if len(devices) > 0 {
		t.Errorf("still attached: %v", devices)
	}
	if err := loop.ReleaseUnder(dir); err != nil {
		t.Errorf("clean up: %v", err)
	}
}
