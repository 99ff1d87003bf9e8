// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

const (
	// imageSize is that of an object which comes in three ranges of rangeSize.
	imageSize = 40 << 20
	rangeSize = 16 << 20
	// begunOf is how much comes of each range before all stands still, and inBuffers how much of that is not written
	// before more comes.
	begunOf   = 5<<20 + 3
	inBuffers = 512 << 10
)

// beginRanges answers each request for a range of an image with so many bytes of it. What comes then waits for the end
// of the request.
func beginRanges(image []byte, of int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		var from, to int
		_, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to)
		if err != nil || r.Method != http.MethodGet || !beginRange(w, r, image, min(from/rangeSize*rangeSize+of, to)) {
			return false
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	}
}

// hasBegun waits until the device holds what beginRanges lets pass.
func hasBegun(t testing.TB, device string, image []byte, of int) {
	t.Helper()
	f, err := os.Open(device)
	mustDo(t, err)
	defer f.Close()
	waitFor(t, time.Minute, "the beginning of each range is on the device", func() bool {
		for at := 0; at < len(image); at += rangeSize {
			last := at + of - inBuffers
			got := make([]byte, 64)
			if _, err := f.ReadAt(got, int64(last)); err != nil || !bytes.Equal(got, image[last:last+64]) {
				return false
			}
		}
		return true
	})
}

// stopped runs a mover and has it end once so many bytes of each range of its image are on the device.
func (b *bench) stopped(image []byte, of int) wire.Report {
	b.t.Helper()
	ctx, stop := context.WithCancel(b.t.Context())
	defer stop()
	ended := make(chan wire.Report, 1)
	go func() { ended <- b.runContext(ctx) }()
	hasBegun(b.t, b.paths.Device, image, of)
	stop()
	return <-ended
}

// interruptedDevice is one whose mover was told to end when it had the beginning of each range, and the request
// of the next one.
func interruptedDevice(t *testing.T, endpoint string, image []byte) *bench {
	t.Helper()
	p := startProxy(t, &s3server{endpoint: endpoint}, beginRanges(image, begunOf))
	b := blockBench(t, p.URL, imageSize+1<<20)
	b.request.Transfer.Engine = wire.EngineNative
	r := b.stopped(image, begunOf)
	if r.Class != wire.RetryUncounted || !r.Began || !r.Progressed {
		t.Fatalf("report is %+v, want one of a mover that was interrupted and made progress", r)
	}
	b.request.Source.Endpoint = endpoint
	b.request.Attempt, b.request.Volume.Began, b.request.Volume.Arrived = 2, true, r.Arrived
	mustTellRanges(t, r.Arrived)
	return b
}

func mustTellRanges(t *testing.T, a *wire.Arrived) {
	t.Helper()
	if a == nil || len(a.Ranges) != 3 || a.Check() != nil {
		t.Fatalf("what arrived is told as %+v, want three ranges", a)
	}
	for i, r := range a.Ranges {
		from, to := max(int64(i*rangeSize), plan.HeaderSize), int64(i*rangeSize+begunOf)
		if end := r.Offset + r.Length; r.Offset != from || end < to-inBuffers || end > to {
			t.Errorf("range %d is %d to %d, want %d to %d", i, r.Offset, end, from, to)
		}
	}
}

// TestABlockVolumeIsGoneOnWith, byte by byte, and nothing that is told about it is believed.
func TestABlockVolumeIsGoneOnWith(t *testing.T) {
	s := startVersity(t)
	image := content(1, imageSize)
	s.put(t, "disk", image)
	for name, tt := range map[string]struct {
		change func(t *testing.T, b *bench)
		again  int  // Which range comes again, from 1.
		anew   bool // All of them do.
	}{
		"as it was left": {},
		"a byte on the device is another one": {
			change: func(t *testing.T, b *bench) { writeAt(t, b.paths.Device, "X", rangeSize+4711) },
			again:  2,
		},
		"the sum is another one": {
			change: func(_ *testing.T, b *bench) { b.request.Volume.Arrived.Ranges[2].Sum++ },
			again:  3,
		},
		"more is told than is there": {
			change: func(_ *testing.T, b *bench) { b.request.Volume.Arrived.Ranges[2].Length++ },
			again:  3,
		},
		"a range of the header": {
			change: func(_ *testing.T, b *bench) { b.request.Volume.Arrived.Ranges[0].Offset = 0 },
			again:  1,
		},
		"a range behind the object": {
			change: func(_ *testing.T, b *bench) { b.request.Volume.Arrived.Ranges[2].Length = rangeSize },
			again:  3,
		},
		"of another object": {
			change: func(_ *testing.T, b *bench) { b.request.Volume.Arrived.Manifest = "sha256:another" }, anew: true,
		},
		"nothing was told": {
			change: func(_ *testing.T, b *bench) { b.request.Volume.Arrived = nil }, anew: true,
		},
		"sizes are all that is compared": {
			change: func(_ *testing.T, b *bench) { b.request.Transfer.Verify = "Size" }, anew: true,
		},
		"by the other engine": {
			change: func(_ *testing.T, b *bench) { b.request.Transfer.Engine = wire.EngineMC }, anew: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := interruptedDevice(t, s.endpoint, image)
			want := imageSize - bytesOf(b.request.Volume.Arrived)
			if tt.again > 0 {
				want += b.request.Volume.Arrived.Ranges[tt.again-1].Length
			}
			if tt.anew {
				want = imageSize
			}
			if tt.change != nil {
				tt.change(t, b)
			}
			if r := b.mustBeDone(b.run()); r.FetchedBytes != want || r.Arrived != nil {
				t.Errorf("report is %+v, want %d bytes fetched", r, want)
			}
			b.mustBeOnDevice(image)
		})
	}
}

// TestABlockVolumeIsNotGoneOnWithAnotherObject that has its size.
func TestABlockVolumeIsNotGoneOnWithAnotherObject(t *testing.T) {
	s := startVersity(t)
	image, other := content(1, imageSize), content(2, imageSize)
	s.put(t, "disk", image)
	b := interruptedDevice(t, s.endpoint, image)
	s.put(t, "disk", other)
	if r := b.mustBeDone(b.run()); r.FetchedBytes != imageSize {
		t.Errorf("fetched %d bytes, want all %d of the other object", r.FetchedBytes, imageSize)
	}
	b.mustBeOnDevice(other)
}

// TestAKilledBlockVolumeIsGoneOnWith: it has said how far it was, and says no more.
func TestAKilledBlockVolumeIsGoneOnWith(t *testing.T) {
	s := startVersity(t)
	image := content(1, imageSize)
	s.put(t, "disk", image)
	p := startProxy(t, s, beginRanges(image, begunOf))
	m := startManager(t, http.StatusNoContent)
	b := blockBench(t, p.URL, imageSize)
	b.request.Transfer.Engine = wire.EngineNative
	b.request.Progress = wire.Progress{URL: m.URL, CABundle: m.ca()}
	write(t, b.paths.ProgressToken, "token")
	cmd := b.spawn()
	var told *wire.Arrived
	waitFor(t, 2*time.Minute, "the mover says what has arrived", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		i := slices.IndexFunc(m.snapshots, func(s wire.Snapshot) bool {
			return s.Arrived != nil && len(s.Arrived.Ranges) == 3 && !slices.ContainsFunc(s.Arrived.Ranges, tooShort)
		})
		if i >= 0 {
			told = m.snapshots[i].Arrived
		}
		return i >= 0
	})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	mustTellRanges(t, told)
	b.request.Source.Endpoint, b.request.Progress = s.endpoint, wire.Progress{}
	b.request.Attempt, b.request.Volume.Began, b.request.Volume.Arrived = 2, true, told
	if r := b.mustBeDone(b.run()); r.FetchedBytes != imageSize-bytesOf(told) {
		t.Errorf("fetched %d bytes, want %d", r.FetchedBytes, imageSize-bytesOf(told))
	}
	b.mustBeOnDevice(image)
}

// tooShort tells of a range of which more is to come before it stands still.
func tooShort(r wire.ArrivedRange) bool { return (r.Offset+r.Length)%rangeSize < begunOf-inBuffers }

func bytesOf(a *wire.Arrived) (n int64) {
	for _, r := range a.Ranges {
		n += r.Length
	}
	return n
}

// TestABlockVolumeThatCannotBeComparedComesAtOnce: that its entity tag is no digest shows in the end.
func TestABlockVolumeThatCannotBeComparedComesAtOnce(t *testing.T) {
	s := startVersity(t)
	image := content(1, imageSize)
	s.put(t, "disk", image)
	b := interruptedDevice(t, kms(t, s, image).URL, image)
	want := 2*imageSize - bytesOf(b.request.Volume.Arrived)
	if r := b.mustBeDone(b.run()); r.FetchedBytes != want || r.SizeOnlyObjects != 1 {
		t.Errorf("report is %+v, want %d bytes fetched and 1 object by size", r, want)
	}
	b.mustBeOnDevice(image)
}

// TestABlockVolumeThatCannotBeComparedIsRemembered: what was found in the end no mover after it finds once more.
func TestABlockVolumeThatCannotBeComparedIsRemembered(t *testing.T) {
	s := startVersity(t)
	image := content(1, imageSize)
	s.put(t, "disk", image)
	opaque := kms(t, s, image).URL
	b := interruptedDevice(t, opaque, image)
	p := startProxy(t, &s3server{endpoint: opaque}, func(w http.ResponseWriter, r *http.Request) bool {
		begin := r.Header.Get("Range") == fmt.Sprintf("bytes=0-%d", rangeSize-1) // All of it comes.
		return begin && s3Error(w, http.StatusForbidden, "AccessDenied")
	})
	b.request.Source.Endpoint = p.URL
	want := &wire.Arrived{
		Manifest: b.request.Volume.Arrived.Manifest, Most: b.request.Volume.Arrived.Most, AtOnce: true,
	}
	if r := b.run(); r.Reason != wire.AccessDenied || r.Progressed || !reflect.DeepEqual(r.Arrived, want) {
		t.Fatalf("report is %+v, which tells of %+v, want %+v and no progress", r, r.Arrived, want)
	}
	b.request.Attempt, b.request.Volume.Arrived = 3, want
	if r := b.run(); r.Reason != wire.AccessDenied || r.Progressed || r.Arrived != nil {
		t.Fatalf("report is %+v, which tells of %+v, want nothing and no progress", r, r.Arrived)
	}
	b.request.Attempt, b.request.Source.Endpoint = 4, opaque
	if r := b.mustBeDone(b.run()); r.FetchedBytes != imageSize || r.SizeOnlyObjects != 1 {
		t.Errorf("report is %+v, want %d bytes fetched and 1 object by size", r, imageSize)
	}
	b.mustBeOnDevice(image)
}

// TestABlockVolumeOfAServerWithoutRanges: what is there is written once more.
func TestABlockVolumeOfAServerWithoutRanges(t *testing.T) {
	s := startVersity(t)
	image := content(1, imageSize)
	s.put(t, "disk", image)
	b := interruptedDevice(t, s.endpoint, image)
	var asked atomic.Int64
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") != "" {
			asked.Add(1)
			r.Header.Del("Range")
		}
		return false
	})
	b.request.Source.Endpoint = p.URL
	b.mustBeDone(b.run())
	b.mustBeOnDevice(image)
	if asked.Load() == 0 {
		t.Error("no range was asked for")
	}
}

// TestARoundThatFailedOfABlockVolumeIsGoneOnWith, too.
func TestARoundThatFailedOfABlockVolumeIsGoneOnWith(t *testing.T) {
	s := startVersity(t)
	image := content(1, imageSize)
	s.put(t, "disk", image)
	var refused atomic.Int64
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		last := strings.HasPrefix(r.Header.Get("Range"), fmt.Sprintf("bytes=%d-", 2*rangeSize))
		return last && refused.Add(1) <= 4 && s3Error(w, http.StatusInternalServerError, "InternalError")
	})
	b := blockBench(t, p.URL, imageSize)
	b.request.Transfer.Engine = wire.EngineNative
	r := b.mustBeDone(b.run())
	b.mustBeOnDevice(image)
	// Of the first sector comes once more what is in its range of the first round.
	if !strings.Contains(b.log.String(), "round 1:") || r.FetchedBytes > imageSize+plan.HeaderSize {
		t.Errorf("%d bytes were fetched of %d, in rounds:\n%s", r.FetchedBytes, imageSize, b.log.String())
	}
}

// TestABlockVolumeThatGetsNoFurther has made no progress, and what it has stays told.
func TestABlockVolumeThatGetsNoFurther(t *testing.T) {
	s := startVersity(t)
	image := content(1, imageSize)
	s.put(t, "disk", image)
	b := interruptedDevice(t, s.endpoint, image)
	before := b.request.Volume.Arrived
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodGet && keyOf(r) == "disk" && s3Error(w, http.StatusForbidden, "AccessDenied")
	})
	b.request.Source.Endpoint = p.URL
	r := b.run()
	if r.Class == wire.Done || r.Progressed || !reflect.DeepEqual(r.Arrived, before) {
		t.Errorf("report is %+v, which tells of %+v, want no progress, and what was told before: %+v", r, r.Arrived, before)
	}
}

// TestABlockVolumeThatRefusedIsNotTold of, when its mover is ended before it looks.
func TestABlockVolumeThatRefusedIsNotTold(t *testing.T) {
	const size, of = 2 * rangeSize, 14 << 20 // More than the device takes.
	for name, takes := range map[string]bool{"it takes all": true, "it refuses some": false} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			image := content(1, size)
			s.put(t, "disk", image)
			p := startProxy(t, s, beginRanges(image, of))
			b, grow := thinBench(t, p.URL)
			b.request.Transfer.Engine = wire.EngineNative
			if takes {
				grow()
			}
			r := b.stopped(image, of)
			if r.Arrived == nil || (len(r.Arrived.Ranges) > 0) != takes || r.Progressed != takes {
				t.Fatalf("report is %+v, which tells of %+v", r, r.Arrived)
			}
		})
	}
}

// TestASyncIsWaitedFor, and not for long by a mover that is to end.
func TestASyncIsWaitedFor(t *testing.T) {
	for name, tt := range map[string]struct {
		takes, stopped time.Duration // Stopped is when the mover is told to end.
		refuses        error
		synced         bool
		want           time.Duration
	}{
		"at once":                 {0, time.Hour, nil, true, 0},
		"for as long as it takes": {time.Minute, time.Hour, nil, true, time.Minute},
		"it refuses":              {time.Second, time.Hour, unix.EIO, false, time.Second},
		"after the end":           {2 * time.Second, 0, nil, true, 2 * time.Second},
		"too long after it":       {time.Minute, 0, nil, false, 3 * time.Second},
		"too long, and the end":   {time.Minute, 30 * time.Second, nil, false, 33 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			was := syncFor
			t.Cleanup(func() { syncFor = was })
			syncFor = 3 * time.Second
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.stopped)
				defer cancel()
				start, ended := time.Now(), make(chan struct{})
				defer func() { <-ended }()
				synced, err := soonSynced(ctx, func() error {
					defer close(ended)
					<-time.After(tt.takes)
					return tt.refuses
				})
				if synced != tt.synced || !errors.Is(err, tt.refuses) || time.Since(start) != tt.want {
					t.Errorf("synced: %t (%v) after %s, want %t after %s", synced, err, time.Since(start), tt.synced, tt.want)
				}
			})
		})
	}
}
