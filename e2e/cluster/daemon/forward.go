// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"

	"github.com/s3populator/s3populator/e2e/cluster/netns"
)

// forward passes every connection on to the same port inside the node.
func forward(listener net.Listener, init, port int) {
	for {
		outside, err := listener.Accept()
		if err != nil {
			return // closed
		}
		go func() {
			defer func() { _ = outside.Close() }()
			inside, err := netns.Dial(context.Background(), init, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				slog.Warn("Connection not forwarded", "error", err)
				return
			}
			defer func() { _ = inside.Close() }()
			join(outside.(*net.TCPConn), inside.(*net.TCPConn))
		}()
	}
}

// join copies both ways and passes on each side's end of its stream, so that
// "kubectl exec" sees the end of its input.
func join(a, b *net.TCPConn) {
	var wg sync.WaitGroup
	one := func(to, from *net.TCPConn) {
		_, _ = io.Copy(to, from)
		_ = to.CloseWrite()
	}
	wg.Go(func() { one(a, b) })
	wg.Go(func() { one(b, a) })
	wg.Wait()
}
