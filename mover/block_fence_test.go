// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestAFencedDevice: a mover whose header is not there any more writes nothing more that counts.
func TestAFencedDevice(t *testing.T) {
	for name, lose := range map[string]string{
		"taken over":                  plan.Header{Claim: testClaim, Pod: "new-pod", Request: "r"}.Line(),
		"taken over by another claim": plan.Header{Claim: "another", Pod: "new-pod", Request: "r"}.Line(),
		"complete":                    string(content(9, 4096)),
	} {
		for _, size := range []int{1, plan.HeaderSize - 1, 3 << 20} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, size), func(t *testing.T) { fencedDevice(t, lose, size) })
		}
	}
}

func fencedDevice(t *testing.T, lose string, size int) {
	s := startVersity(t)
	s.put(t, "disk", content(1, size))
	var b *bench
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && keyOf(r) == "disk" {
			writeAt(t, b.paths.Device, lose, 0)
		}
		return false
	})
	b = blockBench(t, p.URL, 4<<20)
	r := b.run()
	if ours := strings.Contains(lose, " "+testClaim+" "); r.Reason != wire.Fenced || !r.Class.Again() || r.Shared == ours {
		t.Errorf("report is %+v, want %s, and that another claim may have the device: %v", r, wire.Fenced, !ours)
	}
	got, err := os.ReadFile(b.paths.Device)
	mustDo(t, err)
	if !bytes.HasPrefix(got, []byte(lose[:min(len(lose), plan.HeaderSize)])) {
		t.Error("the first sector was written by the fenced mover")
	}
	if rest := bytes.TrimLeft(got[max(len(lose), plan.HeaderSize):], "\xee"); len(rest) > 0 {
		t.Errorf("%d bytes behind the first sector were written by the fenced mover", len(rest))
	}
}

// TestASmallObjectOnADevice has its header too, although it ends in the sector of that: an attempt that was
// interrupted is gone on with, and not taken for one that was completed.
func TestASmallObjectOnADevice(t *testing.T) {
	s := startVersity(t)
	s.put(t, "nothing", nil)
	empty := blockBench(t, s.endpoint, 4096)
	empty.request.Source.Objects = []wire.Object{{Key: "nothing"}}
	empty.mustBeDone(empty.run())
	empty.mustBeOnDevice(nil)
	for _, size := range []int{1, 511, 512, 513} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			s.put(t, "disk", content(3, size))
			var fails atomic.Bool
			p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
				lost := fails.Load() && r.Method == http.MethodGet && keyOf(r) == "disk"
				if lost {
					http.NotFound(w, r)
				}
				return lost
			})
			b := blockBench(t, p.URL, 4096)
			b.request.Source.Objects = []wire.Object{{Key: "disk"}}
			fails.Store(true)
			if r := b.run(); r.Class == wire.Done || !r.Began {
				t.Fatalf("report is %+v, want one of an attempt that began and failed", r)
			}
			got, err := os.ReadFile(b.paths.Device)
			mustDo(t, err)
			if h, ok := plan.ParseHeader(got); !ok || h.Claim != testClaim {
				t.Errorf("the device begins with %q", got[:64])
			}
			fails.Store(false)
			b.request.Attempt, b.request.Volume.Began = 2, true
			b.mustBeDone(b.run())
			b.mustBeOnDevice(content(3, size))
		})
	}
}

// TestEachRoundOfADeviceLooksWhoseItIs before it writes, however soon it follows the one before.
func TestEachRoundOfADeviceLooksWhoseItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device")
	mustDo(t, os.WriteFile(path, make([]byte, 1<<20), 0o600))
	take := func(pod string) *volume.Device {
		to, err := volume.OpenDevice(path, plan.Header{Claim: "claim", Pod: pod, Request: "r"})
		mustDo(t, err)
		t.Cleanup(to.Close)
		mustDo(t, to.TakeOver())
		return to
	}
	d := &deviceLoad{device: take("old"), progress: &progress{}, target: &nativeDevice{size: 1 << 20}}
	d.writer()
	_, err := d.target.WriteAt(bytes.Repeat([]byte{1}, 4096), plan.HeaderSize)
	mustDo(t, err)
	take("new")
	d.writer()
	if _, err := d.target.WriteAt(bytes.Repeat([]byte{2}, 4096), plan.HeaderSize); fault.ReasonOf(err) != wire.Fenced {
		t.Errorf("a mover that was superseded begins a round: %v", err)
	}
}
