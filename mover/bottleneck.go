// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"io"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/engine/native"
	"github.com/s3populator/s3populator/mover/wire"
)

// effort is what the time of a transfer went into.
type effort struct {
	began   time.Time     // Zero: nothing was to transfer.
	cpu     time.Duration // Of this process and its children, when it began.
	wall    time.Duration // Until all was verified.
	synced  time.Duration // The sync in the end.
	written atomic.Int64  // Nanoseconds of writes of what mc gave.
}

// shares are what the time of a transfer is judged by.
type shares struct {
	wall, cpu time.Duration
	cores     int
	// The others are of all connections together.
	server, network, disk, throttled time.Duration
	// fetched bytes, and the limit of those per second where nobody measures how long it holds up; 0: none.
	fetched, limit int64
}

// begin is called for each round of a device: all else that is counted is of all rounds, too.
func (e *effort) begin() {
	if e.began.IsZero() {
		e.began, e.cpu = time.Now(), cpuTime() //nolint:forbidigo // Only ever subtracted from.
	}
}

// transferred is called when all is verified.
func (e *effort) transferred() { e.wall = time.Since(e.began) }

// write counts the time of a write.
func (e *effort) write(to io.Writer, p []byte) error {
	start := time.Now() //nolint:forbidigo // Only ever subtracted from.
	_, err := to.Write(p)
	e.written.Add(int64(time.Since(start)))
	return err //nolint:wrapcheck // The caller names the volume.
}

// bottleneck is what held the transfer up; own is nil where the bytes were mc's, of which only
// the time of its writes is known, and how many came of those that a limit per second lets through.
func (e *effort) bottleneck(own *native.Engine, fetched, limit int64) wire.Bottleneck {
	if e.began.IsZero() {
		return ""
	}
	s := shares{
		wall: e.wall + e.synced, cpu: cpuTime() - e.cpu, cores: runtime.GOMAXPROCS(0),
		disk: time.Duration(e.written.Load()),
	}
	if own != nil {
		spent := own.Spent()
		s.server, s.network, s.throttled = spent.Server, spent.Network, spent.Throttled
		s.disk = spent.Volume
	} else {
		s.fetched, s.limit = fetched, limit
	}
	// All connections wait for the last sync, as many as there were on the average.
	all := s.server + s.network + s.disk + s.throttled
	s.disk += time.Duration(float64(e.synced) * max(1, float64(all)/float64(max(e.wall, 1))))
	return s.bottleneck(own != nil)
}

const (
	// tellingTime is how long a transfer must take for its shares to say anything.
	tellingTime = time.Second
	// busy is the percentage of the processors' time from which on there is no more to have.
	busy = 85
	// atLimit is the percentage of what a limit lets through from which on nothing else held the transfer up:
	// mc takes its time to begin, and what it brought is compared afterwards.
	atLimit = 80
)

// limited tells that what came is what was let through.
func (s shares) limited() bool {
	return s.limit > 0 && 100*float64(s.fetched) >= atLimit*float64(s.limit)*s.wall.Seconds()
}

// bottleneck is pure. Only where connections were looked at can the server be told from the
// network; without, what is left is not known.
func (s shares) bottleneck(connections bool) wire.Bottleneck {
	waited := s.server + s.network + s.disk + s.throttled
	switch {
	case s.wall < tellingTime:
		return ""
	case 2*s.throttled > waited, s.limited():
		return wire.BottleneckThrottled
	case 100*s.cpu >= busy*s.wall*time.Duration(s.cores):
		return wire.BottleneckCPU
	case !connections && 2*s.disk > s.wall:
		return wire.BottleneckDisk
	case !connections:
		return ""
	case s.disk >= s.server && s.disk >= s.network:
		return wire.BottleneckDisk
	case s.server >= s.network:
		return wire.BottleneckServer
	}
	return wire.BottleneckNetwork
}

// cpuTime is that of this process and of the children that have ended.
func cpuTime() (sum time.Duration) {
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if unix.Getrusage(who, &u) == nil {
			sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return sum
}
