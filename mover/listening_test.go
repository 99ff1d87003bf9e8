// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// portsTried bounds how often a server is started again because another process was quicker to
// take the port that was found free.
const portsTried = 10

// listening starts a server that takes no socket of ours, on a port that is free, and returns its
// address. The server ends with the test.
func listening(t testing.TB, binary string, args func(address string) []string) string {
	t.Helper()
	env := []string{
		"ROOT_ACCESS_KEY=" + testAccessKey, "ROOT_SECRET_KEY=" + testSecretKey,
		"MINIO_ROOT_USER=" + testAccessKey, "MINIO_ROOT_PASSWORD=" + testSecretKey, "MINIO_BROWSER=off",
	}
	for range portsTried {
		address := "127.0.0.1:" + freePort(t)
		ended := start(t, env, binary, args(address)...)
		if answers(t, address, ended) {
			return address
		}
	}
	t.Fatalf("%s found no free port %d times", binary, portsTried)
	return ""
}

// answers waits until somebody listens at the address, and reports whether the server is still
// alive then: one that did not get its port ends at once.
func answers(t testing.TB, address string, ended <-chan struct{}) bool {
	t.Helper()
	alive := true
	waitFor(t, 30*time.Second, "the S3 server listens or ends", func() bool {
		select {
		case <-ended:
			alive = false
			return true
		default:
		}
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
	return alive
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
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

// start runs a process until the test ends; the channel is closed when it ends before.
func start(t testing.TB, env []string, binary string, args ...string) <-chan struct{} {
	t.Helper()
	var output bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() && output.Len() > 0 {
			t.Logf("%s printed:\n%.2000s", filepath.Base(binary), output.String())
		}
	})
	return ended
}
