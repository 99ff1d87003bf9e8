// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"context"
	"fmt"
	"net"
	"runtime"
)

// Listen accepts connections in the process's network namespace; the listener may be used
// from anywhere. The address must be numeric, as for Dial.
func Listen(ctx context.Context, pid int, address string) (net.Listener, error) {
	type result struct {
		listener net.Listener
		err      error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, see Dial
		if err := enter(pid); err != nil {
			done <- result{err: fmt.Errorf("enter the network of process %d: %w", pid, err)}
			return
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		done <- result{l, err}
	}()
	r := <-done
	return r.listener, r.err
}
