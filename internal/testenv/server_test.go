// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	// listenVariable makes the test binary a server at the address that it holds.
	listenVariable = "TESTENV_LISTEN"
	// afterVariable is a FIFO that it reads before.
	afterVariable = "TESTENV_AFTER"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(listenVariable); address != "" {
		_, _ = os.ReadFile(os.Getenv(afterVariable))
		listenFor(address)
		return
	}
	os.Exit(m.Run())
}

// listenFor ends at once, as a server does, where it does not get its port.
func listenFor(address string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return
	}
	for {
		if _, err := l.Accept(); err != nil {
			return
		}
	}
}

// A server whose port was taken meanwhile ends, and is started again at another.
func TestServerTakesAnotherPortWhenItsOwnIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	starts := 0
	got := Server(t, nil, "/usr/bin/env", func(address string) []string {
		starts++
		if starts == 1 {
			address = taken.Addr().String()
		}
		return []string{listenVariable + "=" + address, os.Args[0]}
	})
	if starts < 2 || got == taken.Addr().String() || !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("%d starts, and the address %s", starts, got)
	}
}

// Whoever has taken the port meanwhile answers, while a server is slow to find that out.
func TestServerIsNotTakenForWhoHasItsPort(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	starts, first := 0, ""
	got := Server(t, nil, "/usr/bin/env", func(address string) []string {
		starts++
		if first != "" {
			return []string{listenVariable + "=" + address, os.Args[0]}
		}
		taken, err := net.Listen("tcp", address)
		if err != nil { // Another program was faster; the next start is the first.
			return []string{"false"}
		}
		first = address
		t.Cleanup(func() { _ = taken.Close() })
		go func() {
			if conn, err := taken.Accept(); err == nil { // Somebody has looked.
				_ = conn.Close()
				_ = os.WriteFile(fifo, nil, 0o600)
			}
		}()
		return []string{listenVariable + "=" + address, afterVariable + "=" + fifo, os.Args[0]}
	})
	if starts < 2 || got == first {
		t.Errorf("%d starts, and the address %s", starts, got)
	}
}
