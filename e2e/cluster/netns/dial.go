// SPDX-License-Identifier: Apache-2.0

// Package netns opens connections from inside another process's network
// namespace. It leaves the caller's own namespace alone.
package netns

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Dial connects as if from the process's network namespace. The address must
// be numeric: looking up a name would happen on other threads, outside.
func Dial(ctx context.Context, pid int, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if net.ParseIP(host) == nil {
		return nil, fmt.Errorf("dial %s: %q is not an IP address", address, host)
	}
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		// Never unlocked: the thread is in the wrong namespace for anything
		// else, and ends with this goroutine.
		runtime.LockOSThread()
		if err := enter(pid); err != nil {
			done <- result{err: fmt.Errorf("enter the network of process %d: %w", pid, err)}
			return
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

func enter(pid int) error {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
}

// FreePort asks the kernel, inside the process's network namespace, for a TCP
// port of an address that nobody uses.
func FreePort(ctx context.Context, pid int, address string) (int, error) {
	type result struct {
		port int
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, see Dial
		if err := enter(pid); err != nil {
			done <- result{err: fmt.Errorf("enter the network of process %d: %w", pid, err)}
			return
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(address, "0"))
		if err != nil {
			done <- result{err: err}
			return
		}
		done <- result{listener.Addr().(*net.TCPAddr).Port, listener.Close()}
	}()
	r := <-done
	return r.port, r.err
}
