// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const (
	// portsTried bounds how often a server is started again because another process was quicker
	// to take the port that was found free.
	portsTried = 10
	// serverPatience is how long a server may take to listen, on a machine that is busy.
	serverPatience = time.Minute
)

// Server starts a program that takes no socket of ours on a port of loopback that is free, and
// returns its address, "127.0.0.1:PORT". The program ends with the test; of a test that failed
// its output is logged. It gets env in addition to the environment.
func Server(t testing.TB, env []string, binary string, args func(address string) []string) string {
	t.Helper()
	for range portsTried {
		address := freeAddress(t)
		pid, ended := startServer(t, env, binary, args(address))
		if listens(t, address, pid, ended) {
			return address
		}
	}
	t.Fatalf("%s ended %d times before it listened: it found no free port, or cannot run", binary, portsTried)
	return ""
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// startServer runs a process until the test ends; the channel is closed when it ends before.
func startServer(t testing.TB, env []string, binary string, args []string) (pid int, over <-chan struct{}) {
	t.Helper()
	var output bytes.Buffer
	cmd := exec.Command(binary, args...)   //nolint:gosec,noctx // A program of the tests, which Cleanup ends.
	cmd.Env = append(os.Environ(), env...) //nolint:forbidigo // For tests only.
	cmd.Stdout, cmd.Stderr = &output, &output
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
	return cmd.Process.Pid, ended
}

// listens waits until the program listens at the address, and reports whether it does: one that did not get its port
// ends. Who else has taken the port answers before that, while the program has yet to find out.
func listens(t testing.TB, address string, pid int, ended <-chan struct{}) bool {
	t.Helper()
	deadline := time.After(serverPatience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return false
		case <-deadline:
			t.Fatalf("the program does not listen at %s within %s", address, serverPatience)
		case <-tick.C:
		}
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			continue
		}
		_ = conn.Close()
		if listensAt(pid, address) {
			return true
		}
	}
}
