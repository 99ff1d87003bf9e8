// SPDX-License-Identifier: Apache-2.0

package native

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
