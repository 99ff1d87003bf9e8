// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/internal/testenv"
)

// listening starts a server that takes no socket of ours, with the keys of the tests.
func listening(t testing.TB, binary string, args func(address string) []string) string {
	t.Helper()
	return testenv.Server(t, []string{
		"ROOT_ACCESS_KEY=" + testAccessKey, "ROOT_SECRET_KEY=" + testSecretKey,
		"MINIO_ROOT_USER=" + testAccessKey, "MINIO_ROOT_PASSWORD=" + testSecretKey, "MINIO_BROWSER=off",
	}, binary, args)
}

// deafPort is bound, so that nobody else can take it, and refuses every connection until the test
// ends.
func deafPort(t testing.TB) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(bound.(*unix.SockaddrInet4).Port)
}
