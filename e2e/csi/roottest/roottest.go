// SPDX-License-Identifier: Apache-2.0

// Package roottest lets tests use real loop devices and mounts without meeting anybody else's. Only tests import it.
package roottest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/s3populator/s3populator/e2e/csi/loop"
	"github.com/s3populator/s3populator/e2e/csi/mount"
	"github.com/s3populator/s3populator/internal/testenv"
)

// Patience is how long a device may stay attached because others look at it.
const Patience = 10 * time.Second

// inside marks the process that runs in a mount namespace of its own.
const inside = "CSI_TEST_INSIDE_NAMESPACE"

// Main runs the tests of a package in a mount namespace of their own. Without it, any program that
// makes a namespace while a test has something mounted keeps a copy of that mount, and the device
// behind it, for as long as it lives.
func Main(m *testing.M) {
	if os.Geteuid() != 0 || os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	// the kernel kills the child when this thread ends, which must not be before the process does.
	runtime.LockOSThread()
	command := exec.Command(os.Args[0], os.Args[1:]...) //nolint:noctx // this very program; a test binary has no context.
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(), inside+"=1")
	command.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := command.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, "run tests in a mount namespace:", err)
		os.Exit(1)
	}
}

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
