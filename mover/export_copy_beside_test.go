// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// another is one more mover of the same run, by an endpoint of its own.
func (b *bench) another(endpoint string) *bench {
	other := &bench{t: b.t, paths: b.paths, request: b.request, options: b.options}
	other.request.Source.Endpoint = endpoint
	return other
}

// stoppable is for a mover that is told to end.
func stoppable(t *testing.T) (ctx context.Context, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	return ctx, func() { cancel(fault.ErrTerminated) }
}

// isMark tells a request that leaves the mark of a first copy.
func isMark(r *http.Request) bool {
	return r.Method == http.MethodPut && strings.HasPrefix(keyOf(r), copiesOfRun2) &&
		strings.HasSuffix(keyOf(r), ".asked.json")
}

// pauseToWait is for a mover that has to wait for copies, 60 of these. It does not wait where to leave a mark and to
// read it took twice as long, and the second that S3 tells has changed meanwhile. A busy machine takes 120 ms for that.
const pauseToWait = 25 * time.Millisecond

func isManifestOfRun2(r *http.Request) bool {
	return r.Method == http.MethodPut && keyOf(r) == "runs/2/"+manifest.Key
}

// A mover whose node was lost may complete its run when the next attempt has asked for its first copy, which may be
// made when both are gone: whoever takes the run for complete waits for that copy, and looks at what is there then.
func TestARunThatIsCompleteBesideCopies(t *testing.T) {
	for name, isKilled := range map[string]bool{"by one that goes on": false, "by one that ends right then": true} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *s3server) { completeBesideCopies(t, s, isKilled) })
		})
	}
}

func completeBesideCopies(t *testing.T, s *s3server, isKilled bool) {
	const changed = "changed since"
	var late atomic.Pointer[http.Request]
	ends := make(chan struct{})  // The lost mover is about to write the manifest.
	ended := make(chan struct{}) // The next attempt is over.
	killed, kill := stoppable(t)
	atEnd := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if !isManifestOfRun2(r) {
			return false
		}
		close(ends)
		<-ended
		if isKilled {
			arrives(t, s, kept(t, r))
			kill()
			panic(http.ErrAbortHandler)
		}
		return false
	})
	var b, lost *bench
	var isArrived atomic.Bool
	arrive := func(line string) { // The mover goes on when this has returned.
		if strings.Contains(line, "are waited for") && !isArrived.Swap(true) {
			arrives(t, s, late.Load())
		}
	}
	reported := make(chan wire.Report, 1)
	goOn := func() { reported <- lost.runContext(killed) }
	interrupted, interrupt := stoppable(t)
	var once sync.Once
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		switch {
		case isMark(r): // It has looked at the volume, and at what is in S3.
			once.Do(func() {
				b.file("f", changed)
				go goOn()
				select {
				case <-ends:
				case <-time.After(time.Minute):
					t.Error("the lost mover does not come to its end")
				}
			})
		case isCopy(r, ""):
			late.CompareAndSwap(nil, kept(t, r))
			interrupt()
			panic(http.ErrAbortHandler)
		}
		return false
	})
	b = copiedAgain(t, s, p, []byte("before"))
	lost = b.another(atEnd.URL)
	lost.hears, lost.options.RoundPause = arrive, pauseToWait
	if r := b.runContext(interrupted); r.Reason != wire.Interrupted || late.Load() == nil {
		t.Errorf("the report is %+v, want %s while a copy is made", r, wire.Interrupted)
	}
	close(ended)
	want := wire.VerificationFailed
	if isKilled {
		want = wire.Interrupted
	}
	if r := <-reported; r.Reason != want || !s.has(t, "runs/2/"+manifest.Key) {
		t.Errorf("the report of the lost mover is %+v, want %s beside a manifest", r, want)
	}
	last := b.another(s.endpoint)
	last.request.Attempt, last.hears, last.options.RoundPause = 3, arrive, pauseToWait
	if r := last.mustBeDone(last.run()); !isArrived.Load() || r.SentObjects != 1 {
		t.Errorf("the report is %+v, want a file that was sent again; the copy has come: %t", r, isArrived.Load())
	}
	last.mustBeListed(s, []byte(changed))
	if diff := cmp.Diff([]string{"manifest.json"}, s.keys(t, "runs/2/.s3populator/")); diff != "" {
		t.Errorf("left are (-want +got):\n%s", diff)
	}
}

// A mover that marks its first copy when the run is complete asks for none, and leaves nothing to wait for.
func TestAMoverWhoseRunIsCompleteCopiesNothing(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		var b *bench
		var copies atomic.Int64
		var once sync.Once
		p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
			switch {
			case isMark(r):
				once.Do(func() {
					if r := b.another(s.endpoint).run(); r.Class != wire.Done || r.CopiedObjects != 1 {
						t.Errorf("the report is %+v, want a run that is complete", r)
					}
				})
			case isCopy(r, ""):
				copies.Add(1)
			}
			return false
		})
		b = copiedAgain(t, s, p, []byte("before"))
		if r := b.run(); r.Reason != wire.VerificationFailed || copies.Load() != 0 {
			t.Errorf("the report is %+v after %d copies, want %s after none", r, copies.Load(), wire.VerificationFailed)
		}
		if diff := cmp.Diff([]string{"manifest.json"}, s.keys(t, "runs/2/.s3populator/")); diff != "" {
			t.Errorf("left are (-want +got):\n%s", diff)
		}
		b.request.Attempt = 2
		b.mustNotWait()
		b.mustBeListed(s, []byte("before"))
	})
}

// A pod of a shard that finds its run complete leaves the marks of copies of the others to who ends the run, who waits
// for them.
func TestAShardOfACompleteRunLeavesMarks(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		const key, changed = "runs/2/many/a/0", "changed since"
		p, late := losesCopiesOf(t, s, key)
		b := copiedInShards(t, s, p)
		shards := int(b.plan(4).Shards)
		killed, kill := stoppable(t)
		atEnd := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
			if !isManifestOfRun2(r) {
				return false
			}
			if r := b.shard(0); r.Reason != wire.EndpointUnreachable || late.Load() == nil {
				t.Errorf("the report of the shard is %+v, want %s of a copy", r, wire.EndpointUnreachable)
			}
			arrives(t, s, kept(t, r))
			kill()
			panic(http.ErrAbortHandler)
		})
		b.file("many/a/0", changed)
		lost := b.another(atEnd.URL)
		lost.request.Export.Step, lost.request.Export.Plan = "", ""
		if r := lost.runContext(killed); r.Reason != wire.Interrupted || !s.has(t, "runs/2/"+manifest.Key) {
			t.Fatalf("the report of the lost mover is %+v, want %s beside a manifest", r, wire.Interrupted)
		}
		for i := range shards {
			b.mustBeDone(b.shard(i))
		}
		ofShard := func(mark string) bool { return strings.HasPrefix(mark, "shard-0-") }
		if marks := s.copyMarks(t, ".asked.json"); !slices.ContainsFunc(marks, ofShard) {
			t.Errorf("there are the marks %q, and none of the shard", marks)
		}
		isArrived := false
		b.hears = func(line string) { // The mover goes on when this has returned.
			if strings.Contains(line, "are waited for") && !isArrived {
				isArrived = true
				arrives(t, s, late.Load())
			}
		}
		b.options.RoundPause = pauseToWait
		if r := b.finishShards(); r.Reason != wire.VerificationFailed || !isArrived {
			t.Errorf("the report is %+v, want %s; the copy has come: %t", r, wire.VerificationFailed, isArrived)
		}
		b.hears, b.options.RoundPause, b.request.Attempt = nil, time.Millisecond, 2
		b.request.Export.Step, b.request.Export.Plan = "", ""
		b.mustBeDone(b.run())
		info, err := s.client.StatObject(t.Context(), testBucket, key, minio.StatObjectOptions{})
		mustDo(t, err)
		if e, _ := s.manifestOf(t, "runs/2/").Find("many/a/0"); e.ETag != info.ETag || s.object(t, key) != changed {
			t.Errorf("the manifest lists %+v, S3 has %s", e, info.ETag)
		}
	})
}

// A run that is given up may have asked for a copy. Who ends it waits for that, and so does another run below its
// prefix, whoever of both ends first.
func TestACopyOfARunThatIsGivenUp(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		var late atomic.Pointer[http.Request]
		interrupted, interrupt := stoppable(t)
		p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
			if !isCopy(r, "") {
				return false
			}
			late.CompareAndSwap(nil, kept(t, r))
			interrupt()
			panic(http.ErrAbortHandler)
		})
		b := copiedAgain(t, s, p, []byte("before"))
		if r := b.runContext(interrupted); r.Reason != wire.Interrupted || late.Load() == nil {
			t.Fatalf("the report is %+v, want %s while a copy is made", r, wire.Interrupted)
		}
		next := b.another(s.endpoint)
		next.file("f", "changed since")
		next.request.Export.Run, next.request.Export.CopyFrom = "run-3", ""
		if r, waits := next.waits(); !waits || r.Reason != wire.Interrupted || s.has(t, "runs/2/"+manifest.Key) {
			t.Errorf("the report is %+v, want one of a mover that has waited for copies: %t", r, waits)
		}
		b.request.Operation, b.request.Volume = wire.Abort, wire.Volume{}
		isArrived := false
		b.hears = func(line string) { // The mover goes on when this has returned.
			if strings.Contains(line, "are waited for") && !isArrived {
				isArrived = arrives(t, s, late.Load()) == http.StatusOK
			}
		}
		b.options.RoundPause = pauseToWait
		b.mustBeDone(b.run())
		if !isArrived {
			t.Error("it has not waited for the copy")
		}
		next.request.Attempt = 2
		r, waits := next.waits()
		next.mustBeDone(r)
		if waits {
			t.Error("it has waited for a copy that is over")
		}
		next.mustBeListed(s, []byte("changed since"))
		if diff := cmp.Diff([]string{"manifest.json"}, s.keys(t, "runs/2/.s3populator/")); diff != "" {
			t.Errorf("left are (-want +got):\n%s", diff)
		}
	})
}
