// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// losesCopiesOf answers no copy to a key, and keeps the first one, which may still arrive.
func losesCopiesOf(t *testing.T, s *s3server, key string) (p *proxy, late *atomic.Pointer[http.Request]) {
	t.Helper()
	late = new(atomic.Pointer[http.Request])
	p = startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if isCopy(r, "") && keyOf(r) == key {
			late.CompareAndSwap(nil, kept(t, r))
			panic(http.ErrAbortHandler)
		}
		return false
	})
	return p, late
}

// A copy that a pod of a shard has asked for may still be made when another one of the same Job has replaced that pod,
// over what this one has sent: who completes the run waits for it. Pods that end well leave nothing to wait for.
func TestACopyOfAPodThatIsReplaced(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		const key = "runs/2/many/a/0"
		p, late := losesCopiesOf(t, s, key)
		b := copiedInShards(t, s, p)
		planned := b.plan(4)
		if r := b.shard(0); r.Reason != wire.EndpointUnreachable || late.Load() == nil {
			t.Fatalf("the report is %+v, want %s", r, wire.EndpointUnreachable)
		}
		b.file("many/a/0", "changed since")
		for i := range int(planned.Shards) {
			b.toShard(i)
			r, waits := b.waits()
			b.mustBeDone(r)
			if waits || i == 0 && r.SentObjects == 0 {
				t.Errorf("the report of shard %d is %+v; it has waited: %t", i, r, waits)
			}
		}
		b.toFinish()
		if r, waits := b.waits(); !waits || r.Reason != wire.Interrupted || s.has(t, "runs/2/"+manifest.Key) {
			t.Fatalf("the report is %+v, want one of a mover that has waited for copies: %t", r, waits)
		}
		arrives(t, s, late.Load())
		if r := b.finishShards(); r.Reason != wire.VerificationFailed {
			t.Errorf("the report is %+v, want %s", r, wire.VerificationFailed)
		}
		b.request.Attempt = 2
		planned = b.plan(4)
		for i := range int(planned.Shards) {
			b.mustBeDone(b.shard(i))
		}
		b.mustBeDone(b.finishShards())
		info, err := s.client.StatObject(t.Context(), testBucket, key, minio.StatObjectOptions{})
		mustDo(t, err)
		e, _ := s.manifestOf(t, "runs/2/").Find("many/a/0")
		if e.ETag != info.ETag || s.object(t, key) != "changed since" {
			t.Errorf("the manifest lists %+v, S3 has %s", e, info.ETag)
		}
	})
}

// Where S3 has answered all copies of the pods of a Job, nobody waits for any, and nothing of them is left.
func TestCopiesOfShardsThatAreAnswered(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		b := copiedInShards(t, s, startProxy(t, s, nil))
		planned, copied := b.plan(4), int64(0)
		for i := range int(planned.Shards) {
			copied += b.mustBeDone(b.shard(i)).CopiedObjects
		}
		if marks := s.copyMarks(t, ""); len(marks) != 2*int(planned.Shards) {
			t.Errorf("of %d shards there are the marks %q", planned.Shards, marks)
		}
		b.toFinish()
		r, waits := b.waits()
		b.mustBeDone(r)
		if waits || copied != 100 || r.OtherObjects != 0 {
			t.Errorf("the report is %+v, after %d copies; it has waited: %t", r, copied, waits)
		}
		if diff := cmp.Diff([]string{"manifest.json"}, s.keys(t, "runs/2/.s3populator/")); diff != "" {
			t.Errorf("left are (-want +got):\n%s", diff)
		}
	})
}

// A mover that waits for such copies may be ended, too. The next one finds everything as it is on the volume, and sends
// nothing; the copy may still be made.
func TestACopyThatOneWasEndedOver(t *testing.T) {
	for name, inShards := range map[string]bool{"a pod of a shard": true, "an attempt": false} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *s3server) { endedOverACopy(t, s, inShards) })
		})
	}
}

func endedOverACopy(t *testing.T, s *s3server, inShards bool) {
	const key, changed = "runs/2/many/a/0", "x" // Of the same size, or a shard would send it once more for its plan.
	var late atomic.Pointer[http.Request]
	var isRefused atomic.Bool
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		isEnd := strings.HasSuffix(keyOf(r), "/part-0.json") || keyOf(r) == "runs/2/"+manifest.Key
		switch {
		case isCopy(r, "") && keyOf(r) == key:
			late.CompareAndSwap(nil, kept(t, r))
			panic(http.ErrAbortHandler)
		case r.Method == http.MethodPut && isEnd && isRefused.Load():
			return s3Error(w, http.StatusForbidden, "AccessDenied")
		}
		return false
	})
	b := copiedInShards(t, s, p)
	again, shards := func() wire.Report { b.request.Attempt++; return b.run() }, 0
	if inShards {
		shards = int(b.plan(4).Shards)
		again = func() wire.Report { return b.shard(0) }
	}
	if r := again(); r.Reason != wire.EndpointUnreachable || late.Load() == nil {
		t.Fatalf("the report is %+v, want %s", r, wire.EndpointUnreachable)
	}
	b.file("many/a/0", changed)
	isRefused.Store(true)
	if r := again(); r.Reason != wire.AccessDenied || s.object(t, key) != changed {
		t.Fatalf("the report is %+v, want %s", r, wire.AccessDenied)
	}
	isRefused.Store(false)
	for i := range shards {
		if r := b.mustBeDone(b.shard(i)); i == 0 && r.SentObjects != 0 {
			t.Errorf("the report is %+v, want nothing that was sent", r)
		}
	}
	b.request.Attempt++
	if inShards {
		b.toFinish()
	}
	r, waits := b.waits()
	if !waits || r.Reason != wire.Interrupted || !inShards && r.SentObjects != 0 || s.has(t, "runs/2/"+manifest.Key) {
		t.Errorf("the report is %+v, want one of a mover that has sent nothing, and has waited for copies: %t", r, waits)
	}
	b.mustBeDone(b.run())
}

// copiedInShards is an export of files that a run before has exported to the same server, below a prefix of its own.
func copiedInShards(t *testing.T, s *s3server, p *proxy) *bench {
	t.Helper()
	b := newExport(t, s.endpoint)
	b.many(100)
	b.settle()
	b.mustBeDone(b.run())
	b.request.Source.Endpoint, b.request.Source.Prefix = p.URL, "runs/2/"
	b.request.Export.Run, b.request.Export.CopyFrom = "run-2", "runs/1/"
	return b
}
