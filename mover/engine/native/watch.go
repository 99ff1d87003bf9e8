// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// watch ends connections on which nothing comes, and all of them when the context ends. It
// has a clock of its own that ticks seldom: to note the time costs a line one store.
type watch struct {
	now atomic.Int64 // Ticks, from 1 on.

	mu    sync.Mutex
	lines map[*rawLine]net.Conn
	over  bool
}

// ticks per idle time.
const ticks = 8

// startWatch watches until stop is called.
func startWatch(ctx context.Context, idle time.Duration) (w *watch, stop func()) {
	w = &watch{lines: map[*rawLine]net.Conn{}}
	w.now.Store(1)
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(max(idle/ticks, time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				w.end()
				return
			case <-ended:
				return
			case <-tick.C:
				w.look(w.now.Add(1))
			}
		}
	})
	return w, func() { close(ended); wg.Wait() }
}

// look ends the connections that wait for too long.
func (w *watch) look(now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l, conn := range w.lines {
		if since := l.state.waits.Load(); since > 0 && now-since > ticks {
			l.state.stalled.Store(true)
			_ = conn.Close()
		}
	}
}

func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	for _, conn := range w.lines {
		_ = conn.Close()
	}
}

func (w *watch) add(l *rawLine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines[l] = l.conn
	if w.over {
		_ = l.conn.Close()
	}
}

func (w *watch) remove(l *rawLine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.lines, l)
}
