// SPDX-License-Identifier: Apache-2.0

package native

import "time"

// laneDelay is how long sums wait for others that would fill the lanes, when nobody waits for them.
const laneDelay = 10 * time.Millisecond

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
			late = late && n < md5Lanes // Full lanes show that more comes.
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
	return n, s.waiting > 0 || s.mostBlocked() || s.closed, s.closed && n == 0
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
