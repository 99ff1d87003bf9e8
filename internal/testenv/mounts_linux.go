// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// inside marks the process that runs in a mount namespace of its own.
const inside = "TESTENV_INSIDE_NAMESPACE"

// OwnMounts runs the tests of a package in a mount namespace of their own, and returns their exit code. Without it, any
// program that makes a namespace while a test has something mounted keeps a copy of that mount, and the device behind
// it, for as long as it lives. Without root, nothing can be mounted, and they run as they are.
func OwnMounts(m *testing.M) (code int) {
	if os.Geteuid() != 0 || os.Getenv(inside) != "" { //nolint:forbidigo // For tests only.
		return m.Run()
	}
	// The kernel kills the child when this thread ends, which must not be before the process does.
	runtime.LockOSThread()
	command := exec.Command(os.Args[0], os.Args[1:]...) //nolint:gosec,noctx // This very program; there is no context.
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(), inside+"=1") //nolint:forbidigo // For tests only.
	command.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := command.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode()
	case err != nil:
		fmt.Fprintln(os.Stderr, "run tests in a mount namespace:", err)
		return 1
	}
	return 0
}
