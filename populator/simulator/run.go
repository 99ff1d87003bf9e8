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
	// Trace has a line for each step.
	Trace   []string
	choices []uint32
}

// Ok tells that every promise was kept.
func (r Result) Ok() bool { return r.Promise == "" }

func (r Result) String() string {
	return fmt.Sprintf("broken promise: %s\n%s\n%s", r.Promise, r.Detail, strings.Join(r.Trace, "\n"))
}

// Run plays a seed: first everybody interferes with everybody, then the trouble is mended
// and what can be populated must be, then the claims are deleted and nothing may be left.
func Run(seed uint64, subject Subject) Result { return run(seeded(seed), subject) }

func run(c *choices, subject Subject) (result Result) {
	var w *world
	defer func() {
		result.choices = c.taken
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
	w = newWorld(c, subject)
	for range 200 + c.below(600) {
		if c.over {
			break
		}
		w.step()
	}
	w.mend()
	w.settle()
	w.oracle.judgeRest()
	w.tearDown()
	w.settle()
	w.oracle.judgeEnd()
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
			if again := run(replayed(shorter), subject); again.Promise == r.Promise {
				r = again
			} else {
				at += size
			}
		}
	}
	return r
}
