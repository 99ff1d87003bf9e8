// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// Result of one run. Promise is empty when none was broken.
type Result struct {
	Promise, Detail string
	Seen            Seen
	// Final is what a run of RunFinal met.
	Final FinalSeen
	// Trace has a line for each step.
	Trace   []string
	choices []uint32
	// again plays other choices in the same way.
	again func(*choices, Subject) Result
}

// Ok tells that every promise was kept.
func (r Result) Ok() bool { return r.Promise == "" }

func (r Result) String() string {
	return fmt.Sprintf("broken promise: %s\n%s\n%s", r.Promise, r.Detail, strings.Join(r.Trace, "\n"))
}

// Run plays a seed: first everybody interferes with everybody, then the trouble is mended
// and what can be populated must be, then the claims are deleted and nothing may be left.
func Run(seed uint64, subject Subject) Result { return runPopulation(seeded(seed), subject) }

func runPopulation(c *choices, subject Subject) Result {
	return run(c, runPopulation, func() *world { return newWorld(c, subject) }, func(w *world) {
		w.mend()
		w.settle()
		w.oracle.judgeRest()
		w.tearDown()
		w.settle()
		w.oracle.judgeEnd()
	})
}

// run plays a world and then its end.
func run(c *choices, again func(*choices, Subject) Result, start func() *world, end func(*world)) (result Result) {
	var w *world
	defer func() {
		result.choices, result.again = c.taken, again
		if w != nil {
			result.Trace, result.Seen = w.trace, w.oracle.seen
		}
		switch p := recover().(type) {
		case nil:
		case stopped:
			result.Promise, result.Detail = p.promise, p.detail
		default:
			result.Promise, result.Detail = promiseWellBehaved, fmt.Sprintf("%v\n%s", p, debug.Stack())
		}
	}()
	w = start()
	for range 200 + c.below(600) {
		if c.over {
			break
		}
		w.step()
	}
	end(w)
	return result
}

// mostReplays bounds how long a failure is made shorter.
const mostReplays = 400

// Shrink leaves choices out for as long as the same promise is broken, and returns the
// shortest run that was found.
func Shrink(r Result, subject Subject) Result {
	replays := 0
	for size := len(r.choices) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(r.choices) && replays < mostReplays; {
			replays++
			shorter := append(append([]uint32{}, r.choices[:at]...), r.choices[at+size:]...)
			if again := r.again(replayed(shorter), subject); again.Promise == r.Promise {
				r = again
			} else {
				at += size
			}
		}
	}
	return r
}
