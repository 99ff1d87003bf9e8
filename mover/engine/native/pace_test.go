// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// interval is what one number of connections has moved, whether S3 refused meanwhile, and the number
// that is tried next.
type interval struct {
	moved  int64
	slowed bool
	want   int
}

func times(n int, i interval) []interval { return slices.Repeat([]interval{i}, n) }

// TestClimb: more connections stay where they bring more.
func TestClimb(t *testing.T) {
	t.Parallel()
	first := interval{moved: 1000, want: 18}
	for name, tt := range map[string]struct {
		begin int
		steps []interval
	}{
		"the first interval tries more": {12, []interval{first}},
		"one is not enough to add half": {1, []interval{{moved: 1000, want: 2}}},
		"6 % more is worth it":          {12, []interval{first, {moved: 1060, want: 27}, {moved: 1124, want: 40}}},
		"4 % more is not":               {12, []interval{first, {moved: 1040, want: 12}}},
		"nor are 5 %":                   {12, []interval{first, {moved: 1050, want: 12}}},
		"what is best is the last that was worth it": {12, []interval{
			first, {moved: 1060, want: 27}, {moved: 1100, want: 18},
		}},
		"more is tried again after a rest": {12, slices.Concat(
			[]interval{first, {moved: 1040, want: 12}}, times(restFor-1, interval{moved: 1000, want: 12}), []interval{first},
		)},
		"a network that has become slower": {12, slices.Concat(
			[]interval{first, {moved: 900, want: 12}}, times(restFor-1, interval{moved: 500, want: 12}),
			[]interval{{moved: 500, want: 18}, {moved: 600, want: 27}},
		)},
		"nothing came, which says nothing": {12, slices.Concat(
			times(3, interval{want: 12}), []interval{first}, times(30, interval{want: 18}),
			[]interval{{moved: 1040, want: 12}}, times(30, interval{want: 12}),
			times(restFor-1, interval{moved: 1000, want: 12}), []interval{first},
		)},
		"a refusal, and calm": {16, slices.Concat(
			[]interval{{moved: 1000, want: 24}, {moved: 1000, slowed: true, want: 12}},
			times(calmFor, interval{moved: 10, want: 12}), []interval{{moved: 10, want: 18}, {moved: 20, want: 27}},
		)},
		"refusals one after the other": {16, slices.Concat(
			[]interval{{moved: 1000, slowed: true, want: 8}}, times(calmFor, interval{moved: 10, want: 8}),
			[]interval{{slowed: true, want: 4}}, times(calmFor, interval{moved: 10, want: 4}), []interval{{moved: 10, want: 6}},
		)},
		"there is a most": {40, []interval{
			{moved: 1000, want: 60}, {moved: 2000, want: 64}, {moved: 4000, want: 64}, {moved: 8000, want: 64},
		}},
	} {
		c, current := climb{best: tt.begin}, tt.begin
		for n, i := range tt.steps {
			if i.slowed {
				current /= 2 // As slower has done at once.
			}
			if current = c.next(current, i.moved, i.slowed); current != i.want {
				t.Errorf("%s: %d after interval %d, want %d", name, current, n, i.want)
				break
			}
		}
	}
}

// TestSlower halves once for all that are refused in an interval, and leaves some connections.
func TestSlower(t *testing.T) {
	t.Parallel()
	for asked, want := range map[int][]int{
		0: {6, 4, 4}, 16: {8, 4, 4}, 256: {128, 64, 32}, 5: {4, 4, 4}, 4: {4, 4, 4}, 3: {3, 3, 3}, 1: {1, 1, 1},
	} {
		p := newPace(asked, roomIn(0))
		var got []int
		for range want {
			for range 3 {
				p.slower()
			}
			got = append(got, p.count())
			p.adjust(1)
		}
		if !slices.Equal(got, want) {
			t.Errorf("of %d asked for there are %d, want %d", asked, got, want)
		}
	}
}

// TestAsManyConnectionsAsAskedFor: more than the engine would ever choose, and none more for what they bring.
func TestAsManyConnectionsAsAskedFor(t *testing.T) {
	t.Parallel()
	for asked, want := range map[int]int{1: 1, 16: 16, 100: 100, 256: 256, 1000: 256} {
		p := newPace(asked, roomIn(0))
		for moved := range int64(100) {
			if p.count() != want {
				t.Errorf("of %d connections there are %d after %d intervals", asked, p.count(), moved)
				break
			}
			p.adjust(moved << 20)
		}
	}
}

// TestWhatWasAskedForComesBack: one refusal is not for all of a transfer. What S3 has halved, a calm
// time doubles.
func TestWhatWasAskedForComesBack(t *testing.T) {
	t.Parallel()
	refused := func(want int) []interval { return []interval{{moved: 1, slowed: true, want: want}} }
	// The interval of the refusal is the first one that is calm, and after the last one there are more.
	calm := func(want int) []interval { return times(calmFor-2, interval{moved: 1, want: want}) }
	after := func(want int) []interval { return []interval{{moved: 1, want: want}} }
	for name, tt := range map[string]struct {
		asked int
		steps []interval
	}{
		"an even number": {16, slices.Concat(refused(8), calm(8), after(16), calm(16), after(16))},
		"an odd number":  {15, slices.Concat(refused(7), calm(7), after(15))},
		"nothing halved": {3, slices.Concat(refused(3), calm(3), after(3))},
		"many refusals": {256, slices.Concat(
			refused(128), refused(64), refused(32),
			calm(32), after(65), times(calmFor-1, interval{moved: 1, want: 65}), after(131),
			times(calmFor-1, interval{moved: 1, want: 131}), after(256),
		)},
		"a refusal before it is calm": {16, slices.Concat(refused(8), calm(8), refused(4), calm(4), after(9))},
		"nothing comes, which is no calm": {16, slices.Concat(
			refused(8), times(100, interval{want: 8}), calm(8), after(16),
		)},
	} {
		p := newPace(tt.asked, roomIn(0))
		for n, i := range tt.steps {
			if i.slowed {
				p.slower()
			}
			p.adjust(i.moved)
			if p.count() != i.want {
				t.Errorf("%s: %d connections after interval %d, want %d", name, p.count(), n, i.want)
				break
			}
		}
	}
}

// TestConnectionsWorkAgain: those that had to wait are let in when there may be more.
func TestConnectionsWorkAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		p := newPace(16, roomIn(0))
		p.slower()
		entered := make(chan bool, 1)
		go func() { entered <- p.enter(15) }()
		go p.run(ctx)
		synctest.Wait()
		for range calmFor {
			if len(entered) > 0 {
				t.Fatal("it was let in before it was calm")
			}
			p.moved.Add(1)
			time.Sleep(paceEvery) //nolint:forbidigo // The clock is the test's own.
			synctest.Wait()
		}
		if len(entered) == 0 || !<-entered {
			t.Error("it was not let in")
		}
	})
}
