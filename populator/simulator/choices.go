// SPDX-License-Identifier: Apache-2.0

package simulator

import "math/rand/v2"

// choices are the only source of chance. They come from a seed and are remembered, or are
// played again; a list that is at its end chooses the first of everything.
type choices struct {
	random *rand.Rand
	taken  []uint32
	next   int
	// over tells that a replayed list has no more choices.
	over bool
}

func seeded(seed uint64) *choices {
	return &choices{random: rand.New(rand.NewPCG(seed, 0x5eed))} //nolint:gosec // A test wants the same numbers again.
}

func replayed(taken []uint32) *choices { return &choices{taken: taken} }

// below chooses a number from 0 to n-1.
func (c *choices) below(n int) int {
	if n <= 1 {
		return 0
	}
	if c.random != nil {
		v := c.random.Uint32()
		c.taken = append(c.taken, v)
		return int(v % uint32(n)) //nolint:gosec // n is small and positive.
	}
	if c.next >= len(c.taken) {
		c.over = true
		return 0
	}
	v := c.taken[c.next]
	c.next++
	return int(v % uint32(n)) //nolint:gosec // n is small and positive.
}

// oneIn is true once in n times; when choices are over it is false.
func (c *choices) oneIn(n int) bool { return c.below(n) == n-1 }

func pick[T any](c *choices, of ...T) T { return of[c.below(len(of))] }
