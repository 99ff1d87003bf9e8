// SPDX-License-Identifier: Apache-2.0

package native

import (
	"sync/atomic"
	"time"
)

// spent is what workers wait for, in nanoseconds of all of them together.
type spent struct{ server, network, volume, throttled atomic.Int64 }

// Spent is the time of all connections together.
type Spent struct {
	Server    time.Duration // From a request to the head of its answer.
	Network   time.Duration // Until the bytes of bodies came.
	Volume    time.Duration // Until they were written, or read back.
	Throttled time.Duration // Because S3 asked for less, or by the limit of the bandwidth.
}

// Spent is what the engine has waited for since it was made.
func (e *Engine) Spent() Spent {
	return Spent{
		Server:    time.Duration(e.spent.server.Load()),
		Network:   time.Duration(e.spent.network.Load()),
		Volume:    time.Duration(e.spent.volume.Load()),
		Throttled: time.Duration(e.spent.throttled.Load()),
	}
}

// clock tells how long something took, one thing after the other.
type clock struct{ at time.Time }

func newClock() clock { return clock{time.Now()} } //nolint:forbidigo // Only ever subtracted from.

// lap adds the time since the last lap.
func (c *clock) lap(to *atomic.Int64) {
	now := time.Now() //nolint:forbidigo // As above.
	to.Add(int64(now.Sub(c.at)))
	c.at = now
}
