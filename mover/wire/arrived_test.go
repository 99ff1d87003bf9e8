// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

// most is as much as a mover may tell.
func most() *wire.Arrived {
	a := &wire.Arrived{Manifest: "sha256:" + strings.Repeat("f", 64), Most: math.MaxInt64}
	for i := range int64(wire.MaxArrived) {
		at := math.MaxInt64 - 2*(wire.MaxArrived-i)
		a.Ranges = append(a.Ranges, wire.ArrivedRange{Offset: at, Length: 1, Sum: math.MaxUint64})
	}
	return a
}

// TestWhatArrivedFits where it is told, and costs no more than words.
func TestWhatArrivedFits(t *testing.T) {
	t.Parallel()
	r := wire.Report{
		Class: wire.Retry, Reason: wire.EndpointUnreachable, Message: strings.Repeat("x", 9000), Arrived: most(),
	}
	text := r.Encode()
	got, err := wire.ParseReport(string(text))
	whole := err == nil && reflect.DeepEqual(got.Arrived, r.Arrived) && len(got.Message) > 500
	if len(text) > wire.MaxReportBytes || !whole {
		t.Errorf("a report of %d bytes is read as %+v (%v)", len(text), got, err)
	}
	const bodyLimit = 4 << 10 // Of the manager.
	shot := wire.Snapshot{
		Phase: wire.Transferring, ObjectsTotal: 1, BytesDone: math.MaxInt64, BytesTotal: math.MaxInt64,
		BytesPerSecond: math.MaxInt64, Arrived: most(),
	}
	text, err = json.Marshal(shot)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wire.ParseSnapshot(text); err != nil || len(text) > bodyLimit || !reflect.DeepEqual(got, shot) {
		t.Errorf("a snapshot of %d bytes is read as %+v (%v)", len(text), got, err)
	}
}

// TestWhatNoMoverTells is told by somebody else. A message is refused, and what would only have saved time is dropped
// from what has to be read.
func TestWhatNoMoverTells(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(a *wire.Arrived){
		"too many ranges": func(a *wire.Arrived) {
			a.Ranges = append(a.Ranges, wire.ArrivedRange{Offset: math.MaxInt64 - 1, Length: 1})
		},
		"a long digest":        func(a *wire.Arrived) { a.Manifest = strings.Repeat("x", 200) },
		"less than nothing":    func(a *wire.Arrived) { a.Most = -1 },
		"a negative offset":    func(a *wire.Arrived) { a.Ranges[0].Offset = -1 },
		"an empty range":       func(a *wire.Arrived) { a.Ranges[3].Length = 0 },
		"a range over another": func(a *wire.Arrived) { a.Ranges[3].Length = 3 },
		"the wrong order":      func(a *wire.Arrived) { a.Ranges[3], a.Ranges[4] = a.Ranges[4], a.Ranges[3] },
		"a range without end":  func(a *wire.Arrived) { a.Ranges[31].Length = math.MaxInt64 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := most()
			spoil(a)
			text, err := json.Marshal(wire.Snapshot{Phase: wire.Transferring, Arrived: a})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := wire.ParseSnapshot(text); err == nil {
				t.Error("the snapshot was not refused")
			}
			r, err := wire.ParseReport(string(wire.Report{Class: wire.Retry, Bytes: 7, Arrived: a}.Encode()))
			if err != nil || r.Arrived != nil || r.Bytes != 7 {
				t.Errorf("the report was read as %+v (%v)", r, err)
			}
			request := wire.Request{Operation: wire.Populate, Source: wire.Source{Bucket: "b"}}
			request.Volume = wire.Volume{Mode: wire.Block, ClaimUID: "c-1", Arrived: a}
			text, err = json.Marshal(request)
			if err != nil {
				t.Fatal(err)
			}
			q, err := wire.ParseRequest(string(text))
			if err != nil || q.Volume.Arrived != nil || q.Volume.ClaimUID != "c-1" {
				t.Errorf("the request was read as %+v (%v)", q, err)
			}
		})
	}
}
