// SPDX-License-Identifier: Apache-2.0

// Package testenv says what a test does where something that it needs is absent: it skips on a
// machine of people, and fails where REQUIRE_TOOLS is set, as in CI, so that a skip never hides
// a test that nobody runs. Production code never imports it.
package testenv

import (
	"os"
	"os/exec"
	"testing"
)

// Required is the variable of the environment that turns every such skip into a failure.
const Required = "REQUIRE_TOOLS"

// Skipf skips a test that cannot run on this machine, or fails it where that is forbidden. The
// message names what is missing and how to get it.
func Skipf(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(Required) != "" { //nolint:forbidigo // For tests only.
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Root skips a test that mounts or attaches where its user is not root.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Skipf(t, "needs root, for loop devices and mounts")
	}
}

// Program is the path of a program of the system. The Debian package is named when it is absent.
func Program(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Skipf(t, "%v: install the Debian package %s", err, debian)
	}
	return path
}

// Variable is the value of a variable of the environment that hack/test.sh sets.
func Variable(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name) //nolint:forbidigo // For tests only.
	if value == "" {
		Skipf(t, "%s is not set: run this by `make unit`", name)
	}
	return value
}
