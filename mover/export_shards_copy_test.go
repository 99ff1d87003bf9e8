// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// A copy that a pod of a shard has asked for may still be made when another one of the same Job has replaced that pod,
// over what this one has sent: it waits before it says that the shard is done. A pod that replaces none does not.
func TestACopyOfAPodThatIsReplaced(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		const key, end = "runs/2/many/a/0", "/part-0.json"
		var late atomic.Pointer[http.Request]
		p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
			switch {
			case isCopy(r, "") && keyOf(r) == key:
				late.CompareAndSwap(nil, kept(t, r))
				panic(http.ErrAbortHandler)
			case r.Method == http.MethodPut && strings.HasSuffix(keyOf(r), end):
				if once := late.Swap(nil); once != nil {
					arrives(t, s, once)
				}
			}
			return false
		})
		b := copiedInShards(t, s, p)
		planned := b.plan(4)
		if r := b.shard(0); r.Reason != wire.EndpointUnreachable || late.Load() == nil {
			t.Fatalf("the report is %+v, want %s", r, wire.EndpointUnreachable)
		}
		b.file("many/a/0", "changed since")
		b.options.RoundPause = 50 * time.Millisecond
		if r := b.mustBeDone(b.shard(0)); r.Seconds < 60*b.options.RoundPause.Seconds() || r.SentObjects == 0 {
			t.Errorf("the report is %+v, want one of a pod that has waited for copies", r)
		}
		b.options.RoundPause = time.Minute
		for i := 1; i < int(planned.Shards); i++ {
			if r := b.mustBeDone(b.shard(i)); r.SentObjects == 0 {
				t.Errorf("the report is %+v", r)
			}
		}
		b.options.RoundPause = time.Millisecond
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
	again := func() wire.Report { b.request.Attempt++; return b.run() }
	if inShards {
		b.plan(4)
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
	var isWaitedFor atomic.Bool
	b.hears = func(line string) {
		if strings.Contains(line, "are waited for") {
			isWaitedFor.Store(true)
		}
	}
	b.options.RoundPause = 150 * time.Millisecond
	r := b.mustBeDone(again())
	if !isWaitedFor.Load() || r.SentObjects != 0 || r.Seconds < 60*b.options.RoundPause.Seconds() {
		t.Errorf("the report is %+v, want one of a mover that has sent nothing, and has waited for copies", r)
	}
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
