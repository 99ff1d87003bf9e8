// SPDX-License-Identifier: Apache-2.0

package native

import (
	"sync"
	"time"
)

const (
	// laneBuffer is the size in bytes of what is summed at a time, and mostLaneBuffers bounds the memory of what
	// waits for it.
	laneBuffer      = 64 << 10
	mostLaneBuffers = 256
	// laneDelay is how long sums wait for others that would fill the lanes, when nobody waits for them.
	laneDelay = 10 * time.Millisecond
)

// laneServer computes MD5s side by side. Whoever writes to a sum goes on while it is computed, so that
// what comes on one connection after the other is there at the same moment all the same.
type laneServer struct {
	mu      sync.Mutex
	freed   *sync.Cond // A buffer, or a sum that somebody waits for.
	wake    chan struct{}
	ready   []*laneSum // To be summed, and in no lane yet.
	inLanes int
	buffers [][]byte
	made    int
	waiting int // Those who cannot go on.
	closed  bool
	ended   chan struct{}
}

func newLaneServer() *laneServer {
	s := &laneServer{wake: make(chan struct{}, 1), ended: make(chan struct{})}
	s.freed = sync.NewCond(&s.mu)
	go s.run()
	return s
}

// close sums what is left, and ends.
func (s *laneServer) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.poke()
	<-s.ended
}

func (s *laneServer) poke() {
	select {
	case s.wake <- struct{}{}:
	default: // It will look anyway.
	}
}

// queue tells that there is more to do for a sum. The mutex is held.
func (s *laneServer) queue(l *laneSum) {
	if !l.queued {
		l.queued = true
		s.ready = append(s.ready, l)
	}
	if n := s.inLanes + len(s.ready); n == 1 || n >= md5Lanes || s.waiting > 0 {
		s.poke()
	}
}

// write takes a copy of some bytes. It waits for a buffer.
func (s *laneServer) write(l *laneSum, p []byte) {
	for len(p) > 0 {
		b := s.buffer()
		b = b[:copy(b[:laneBuffer], p)]
		p = p[len(b):]
		s.mu.Lock()
		l.chunks = append(l.chunks, b)
		l.length += uint64(len(b))
		s.queue(l)
		s.mu.Unlock()
	}
}

func (s *laneServer) buffer() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.buffers) == 0 && s.made == mostLaneBuffers {
		s.wait()
	}
	if n := len(s.buffers); n > 0 {
		b := s.buffers[n-1]
		s.buffers = s.buffers[:n-1]
		return b
	}
	s.made++
	return make([]byte, laneBuffer)
}

// wait has the server go on with what there is. The mutex is held.
func (s *laneServer) wait() {
	s.waiting++
	s.poke()
	s.freed.Wait()
	s.waiting--
}

// free takes a buffer back. The mutex is held.
func (s *laneServer) free(b []byte) {
	s.buffers = append(s.buffers, b)
	if s.waiting > 0 {
		s.freed.Broadcast()
	}
}

// end waits for a sum to which nothing more is written.
func (s *laneServer) end(l *laneSum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.ending = true
	s.queue(l)
	for !l.ended {
		s.wait()
	}
}

// endLater has then called with a sum to which nothing more is written.
func (s *laneServer) endLater(l *laneSum, then func([16]byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.ending, l.then = true, then
	s.queue(l)
}

// run sums as soon as the lanes are full, somebody waits, or nothing more has come for a while.
func (s *laneServer) run() {
	defer close(s.ended)
	var lanes laneSet
	timer := time.NewTimer(laneDelay)
	defer timer.Stop()
	for late := false; ; {
		n, hurry, over := s.fill(&lanes)
		switch {
		case over:
			return
		case n == 0:
			late = false
			<-s.wake
		case n == md5Lanes || hurry || late:
			lanes.step()
		default:
			timer.Reset(laneDelay)
			select {
			case <-s.wake:
			case <-timer.C:
				late = true
			}
		}
	}
}

// fill gives each lane that has nothing to do the next blocks of its sum, or else another sum.
func (s *laneServer) fill(lanes *laneSet) (n int, hurry, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range lanes.sums {
		for len(lanes.data[i]) == 0 {
			if l := lanes.sums[i]; l != nil {
				if lanes.data[i] = l.next(s.free); lanes.data[i] != nil {
					break
				}
				lanes.leave(i)
				s.left(l)
			}
			if len(s.ready) == 0 {
				break
			}
			lanes.enter(i, s.ready[0])
			s.ready = s.ready[1:]
		}
		if lanes.sums[i] != nil {
			n++
		}
	}
	s.inLanes = n
	return n, s.waiting > 0 || s.closed, s.closed && n == 0
}

// left is for a sum of which all that was written is summed.
func (s *laneServer) left(l *laneSum) {
	l.queued = false
	if !l.ending {
		return
	}
	l.ended = true
	if l.then != nil {
		go l.then(l.digest())
		return
	}
	s.freed.Broadcast()
}

// laneSet is what is summed at this moment.
type laneSet struct {
	sums  [md5Lanes]*laneSum
	data  [md5Lanes][]byte
	state [4][md5Lanes]uint32
}

func (s *laneSet) enter(i int, l *laneSum) {
	s.sums[i] = l
	for word := range s.state {
		s.state[word][i] = l.state[word]
	}
}

func (s *laneSet) leave(i int) {
	l := s.sums[i]
	for word := range s.state {
		l.state[word] = s.state[word][i]
	}
	s.sums[i] = nil
}

// step sums as many bytes as each lane has. One that has none sums those of another: its state is of no use.
func (s *laneSet) step() {
	shortest := -1
	for i, d := range s.data {
		if len(d) > 0 && (shortest < 0 || len(d) < len(s.data[shortest])) {
			shortest = i
		}
	}
	size := len(s.data[shortest])
	var from [md5Lanes]*byte
	for i, d := range s.data {
		if len(d) == 0 {
			d = s.data[shortest]
		}
		from[i] = &d[0]
	}
	md5Blocks(&s.state, &from, size)
	for i, d := range s.data {
		if len(d) > 0 {
			s.data[i] = d[size:]
		}
	}
}
