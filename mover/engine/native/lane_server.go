// SPDX-License-Identifier: Apache-2.0

package native

import "sync"

// mostBehind in bytes is how much of one sum may wait: whoever brings more leaves buffers, and its processor, to those
// that would fill the other lanes.
const mostBehind = 1 << 20

// laneServer computes MD5s side by side. Whoever writes to a sum goes on while it is computed, so that
// what comes on one connection after the other is there at the same moment all the same.
type laneServer struct {
	mu      sync.Mutex
	freed   *sync.Cond // A buffer, or a sum that somebody waits for.
	wake    chan struct{}
	ready   []*laneSum // To be summed, and in no lane yet.
	inLanes int
	copies  buffers
	handed  buffers
	waiting int // Those who cannot go on.
	blocked int // Those whose own sum is too far behind.
	writing int // Sums that somebody writes to.
	closed  bool
	ended   chan struct{}
}

func newLaneServer(room room) *laneServer {
	s := &laneServer{
		wake:   make(chan struct{}, 1),
		copies: buffers{size: laneBuffer, most: room.copies},
		handed: buffers{size: bufferSize, most: room.handed},
		ended:  make(chan struct{}),
	}
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
		b := s.buffer(l, &s.copies)
		n := copy(b, p)
		s.add(l, chunk{bytes: b[:n], buffer: b})
		p = p[n:]
	}
}

// hand takes some bytes with the buffer they are in, for which swap is given another one.
func (s *laneServer) hand(l *laneSum, p []byte, swap func(spare []byte) []byte) {
	spare := s.buffer(l, &s.handed)
	s.add(l, chunk{bytes: p, buffer: swap(spare)})
}

func (s *laneServer) add(l *laneSum, c chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !l.writing {
		l.writing = true
		s.writing++
	}
	l.chunks = append(l.chunks, c)
	l.behind += len(c.bytes)
	l.length += uint64(len(c.bytes))
	s.queue(l)
}

func (s *laneServer) buffer(l *laneSum, of *buffers) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l.behind >= mostBehind {
		s.block()
	}
	for {
		if b := of.take(); b != nil {
			return b
		}
		s.wait()
	}
}

// block waits while others bring more. The mutex is held.
func (s *laneServer) block() {
	s.blocked++
	if s.mostBlocked() {
		s.poke()
	}
	s.freed.Wait()
	s.blocked--
}

// mostBlocked tells that there is hardly anybody left who would bring what can be summed beside what is there.
func (s *laneServer) mostBlocked() bool { return 4*s.blocked >= 3*s.writing && s.blocked > 0 }

// wait has the server go on with what there is. The mutex is held.
func (s *laneServer) wait() {
	s.waiting++
	s.poke()
	s.freed.Wait()
	s.waiting--
}

// free takes a buffer back. The mutex is held.
func (s *laneServer) free(c chunk) {
	if len(c.buffer) == laneBuffer {
		s.copies.give(c.buffer)
	} else {
		s.handed.give(c.buffer)
	}
	if s.waiting+s.blocked > 0 {
		s.freed.Broadcast()
	}
}

// end waits for a sum to which nothing more is written.
func (s *laneServer) end(l *laneSum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.ending = true
	s.written(l)
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
	s.written(l)
	s.queue(l)
}

// giveUp is for a sum of which nobody wants to know any more.
func (s *laneServer) giveUp(l *laneSum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written(l)
}

// written is for a sum to which nothing more is written. The mutex is held.
func (s *laneServer) written(l *laneSum) {
	if l.writing {
		l.writing = false
		s.writing--
	}
	if s.mostBlocked() { // Now perhaps.
		s.poke()
	}
}
