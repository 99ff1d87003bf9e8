// SPDX-License-Identifier: Apache-2.0

package native

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// pace says how many connections work at a time, and goes back to half when S3 asks for less. Where
// somebody has said how many, it comes back to that. Else it tries more and keeps what brings more.
type pace struct {
	moved atomic.Int64 // Bytes, and a price for every object.
	asked int          // How many somebody wants; 0: nobody has said.
	most  int          // As many as are tried else.

	mu     sync.Mutex
	more   *sync.Cond
	limit  int
	ended  bool
	climb  climb
	slowed bool // In this interval.
}

// objectPrice is how many bytes one object counts beyond its own.
const objectPrice = 64 << 10

// paceEvery is how long one number of connections is tried.
const paceEvery = 500 * time.Millisecond

func newPace(connections int, room room) *pace {
	p := &pace{asked: min(max(connections, 0), room.fixed), most: room.connections}
	p.limit = cmp.Or(p.asked, min(firstConnections, p.most))
	p.climb = climb{best: p.limit}
	p.more = sync.NewCond(&p.mu)
	return p
}

// run adjusts until the context ends, and then lets all go on that wait.
func (p *pace) run(ctx context.Context) {
	tick := time.NewTicker(paceEvery)
	defer tick.Stop()
	before := int64(0)
	for {
		select {
		case <-ctx.Done():
			p.end()
			return
		case <-tick.C:
			now := p.moved.Load()
			p.adjust(now - before)
			before = now
		}
	}
}

func (p *pace) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.more.Broadcast()
}

func (p *pace) adjust(moved int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slowed := p.slowed
	p.slowed = false
	if p.asked > 0 {
		p.limit = p.climb.back(p.limit, p.asked, moved, slowed)
	} else {
		p.limit = min(p.climb.next(p.limit, moved, slowed), p.most)
	}
	p.more.Broadcast()
}

// slower halves the connections at once, but only once per interval: one storm refuses many.
func (p *pace) slower() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.slowed {
		p.slowed = true
		p.limit = max(p.limit/2, min(leastConnections, p.limit))
	}
}

// enter waits until this worker may work. It returns false when there is nothing to wait for.
func (p *pace) enter(worker int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for worker >= p.limit && !p.ended {
		p.more.Wait()
	}
	return !p.ended
}

func (p *pace) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limit
}

// climb finds the number of connections that moves most. It has no clock: each call is one
// interval.
type climb struct {
	best int   // The number that moved most.
	most int64 // What it moved.
	rest int   // Intervals until more are tried again.
}

const (
	// worthIt is by how many percent more must be moved for more connections to stay.
	worthIt = 5
	// restFor is how many intervals pass between attempts with more.
	restFor = 10
	// calmFor is how many pass after S3 asked for less.
	calmFor = 20
)

// next is told what the current number has moved in an interval and returns the next number.
func (c *climb) next(current int, moved int64, slowed bool) int {
	switch {
	case slowed:
		*c = climb{best: current, rest: calmFor}
		return current
	case moved == 0: // Nothing can be said, as while one large file is summed.
		return current
	case c.most == 0: // The first interval.
		c.best, c.most = current, moved
		if c.rest > 0 {
			return current
		}
		return larger(current)
	case current > c.best && moved*100 > c.most*(100+worthIt):
		c.best, c.most = current, moved
		return larger(current)
	case current > c.best:
		c.rest = restFor
		return c.best
	}
	c.most = (3*c.most + moved) / 4 // What the network gives changes.
	c.rest--
	if c.rest <= 0 {
		return larger(current)
	}
	return current
}

// back is next where so many were asked for: what a refusal has halved, a calm time doubles.
func (c *climb) back(current, asked int, moved int64, slowed bool) int {
	if slowed {
		c.rest = calmFor
	}
	if current >= asked || moved == 0 { // Where nothing comes, S3 may be refusing everything.
		return current
	}
	c.rest--
	if c.rest > 0 {
		return current
	}
	c.rest = calmFor
	return min(2*current+1, asked) // It may have been odd.
}

func larger(n int) int { return min(n+max(n/2, 1), mostConnections) }
