// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/engine/native"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// held is by how much one part of a transfer is held up: far more than all others take on any machine.
const held = 4 * time.Second

// heldUp is a transfer that waits for one thing.
type heldUp struct {
	size   int
	limit  int64 // Bytes per second.
	volume time.Duration
	fault  func(w http.ResponseWriter, r *http.Request, get int64, object []byte) bool
	want   wire.Bottleneck
}

// TestWhatATransferWaitedFor is measured where it is waited, and reported as that.
func TestWhatATransferWaitedFor(t *testing.T) {
	for name, tt := range map[string]heldUp{
		"the server thinks": {size: 1000, want: wire.BottleneckServer, fault: func(
			http.ResponseWriter, *http.Request, int64, []byte,
		) bool {
			time.Sleep(held) //nolint:forbidigo // It is what a slow server does.
			return false
		}},
		"the bytes come late": {size: 1000, want: wire.BottleneckNetwork, fault: func(
			w http.ResponseWriter, r *http.Request, _ int64, object []byte,
		) bool {
			beginRange(w, r, object, 0)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(held) //nolint:forbidigo // It is what a slow network does.
			_, _ = w.Write(object)
			return true
		}},
		"the server asks for less": {size: 1000, want: wire.BottleneckThrottled, fault: func(
			w http.ResponseWriter, _ *http.Request, get int64, _ []byte,
		) bool {
			// Each has the mover wait twice as long, 3 s at least in all.
			return get <= 6 && s3Error(w, http.StatusServiceUnavailable, "SlowDown")
		}},
		"the volume takes its time": {size: writeBehind + 1, volume: held, want: wire.BottleneckDisk},
		"the bandwidth is limited":  {size: 1 << 20, limit: 256 << 10, want: wire.BottleneckThrottled},
	} {
		t.Run(name, tt.run)
	}
}

func (h heldUp) run(t *testing.T) {
	was := syncFileRange
	t.Cleanup(func() { syncFileRange = was })
	syncFileRange = func(int, int64, int64, int) error {
		time.Sleep(h.volume) //nolint:forbidigo // It is what a slow volume does.
		return nil
	}
	s := startVersity(t)
	object := content(1, h.size)
	s.put(t, "object", object)
	var gets atomic.Int64
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if h.fault == nil || r.Method != http.MethodGet || keyOf(r) != "object" {
			return false
		}
		return h.fault(w, r, gets.Add(1), object)
	})
	b := newBench(t, p.URL)
	mount(t, "tmpfs", "tmpfs", b.paths.Volume) // To sync a disk takes as long as others write to it.
	b.request.Transfer = wire.Transfer{Engine: wire.EngineNative, BytesPerSecond: h.limit}
	r := b.mustBeDone(b.run())
	b.mustHold(map[string][]byte{"object": object})
	if r.Bottleneck != h.want {
		t.Errorf("the bottleneck is %q, want %q", r.Bottleneck, h.want)
	}
}

// TestMCAtItsLimit: of mc nothing is measured but what it brings, and how many bytes a second it may.
func TestMCAtItsLimit(t *testing.T) {
	for fetched, want := range map[int64]wire.Bottleneck{9 << 20: wire.BottleneckThrottled, 7 << 20: ""} {
		m := newMover(wire.Request{
			Operation: wire.Populate, Transfer: wire.Transfer{Engine: wire.EngineMC, BytesPerSecond: 1 << 20},
		}, Options{Log: io.Discard})
		m.fetcher.effort.begin()
		m.fetcher.effort.wall = 10 * time.Second
		m.fetcher.fetched.Store(fetched)
		if r := m.report(ledger.New(&plan.Plan{}), nil); r.Bottleneck != want {
			t.Errorf("%d bytes in 10 s: the bottleneck is %q, want %q", fetched, r.Bottleneck, want)
		}
	}
	// The engine of our own knows how long it waited for that.
	e := &effort{began: time.Now(), cpu: cpuTime(), wall: 10 * time.Second}
	if got := e.bottleneck(native.New(native.Config{}), 10<<20, 1<<20); got == wire.BottleneckThrottled {
		t.Error("Native waited for nothing, and is held up by the bandwidth")
	}
}

// TestAllRoundsOfADeviceCount: what they fetched, and waited for, is of all of them.
func TestAllRoundsOfADeviceCount(t *testing.T) {
	e := &effort{began: time.Now().Add(-time.Hour)}
	e.begin()
	e.transferred()
	if e.wall < time.Hour {
		t.Errorf("a second round makes it %s, want an hour", e.wall)
	}
}

func TestBottleneck(t *testing.T) {
	t.Parallel()
	const s = 1_000_000_000
	for name, tt := range map[string]struct {
		in          shares
		connections bool
		want        wire.Bottleneck
	}{
		"too short to tell": {shares{wall: s / 2, cores: 2, server: s}, true, ""},
		"the server": {
			shares{wall: 2 * s, cores: 2, server: 9 * s, network: 3 * s, disk: 2 * s},
			true,
			wire.BottleneckServer,
		},
		"the network": {
			shares{wall: 2 * s, cores: 2, server: 3 * s, network: 9 * s, disk: 2 * s},
			true,
			wire.BottleneckNetwork,
		},
		"the volume": {
			shares{wall: 2 * s, cores: 2, server: 3 * s, network: 2 * s, disk: 9 * s},
			true,
			wire.BottleneckDisk,
		},
		"the processors": {
			shares{wall: 2 * s, cores: 2, cpu: 3500 * s / 1000, network: 9 * s},
			true,
			wire.BottleneckCPU,
		},
		"less than all of them": {shares{wall: 2 * s, cores: 2, cpu: 3 * s, network: 9 * s}, true, wire.BottleneckNetwork},
		"a limit": {
			shares{wall: 2 * s, cores: 2, cpu: 4 * s, throttled: 9 * s, network: 8 * s},
			true,
			wire.BottleneckThrottled,
		},
		"a limit that hardly is": {
			shares{wall: 2 * s, cores: 2, throttled: 7 * s, network: 8 * s},
			true,
			wire.BottleneckNetwork,
		},
		"mc":                   {shares{wall: 2 * s, cores: 2, disk: s / 2}, false, ""},
		"mc and a slow volume": {shares{wall: 2 * s, cores: 2, disk: 3 * s / 2}, false, wire.BottleneckDisk},
		"mc that computes":     {shares{wall: 2 * s, cores: 2, cpu: 4 * s}, false, wire.BottleneckCPU},
		"mc at its limit": {
			shares{wall: 10 * s, cores: 2, cpu: 20 * s, disk: 6 * s, fetched: 800, limit: 100},
			false,
			wire.BottleneckThrottled,
		},
		"mc below its limit": {shares{wall: 10 * s, cores: 2, fetched: 799, limit: 100}, false, ""},
	} {
		if got := tt.in.bottleneck(tt.connections); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
