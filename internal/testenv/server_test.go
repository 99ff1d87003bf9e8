// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"net"
	"os"
	"strings"
	"testing"
)

// listenVariable makes the test binary a server at the address that it holds.
const listenVariable = "TESTENV_LISTEN"

func TestMain(m *testing.M) {
	if address := os.Getenv(listenVariable); address != "" {
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
	if starts != 2 || got == taken.Addr().String() || !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("%d starts, and the address %s", starts, got)
	}
}
