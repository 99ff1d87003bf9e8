// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

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
