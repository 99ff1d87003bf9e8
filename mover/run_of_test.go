// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"cmp"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestARunIsRestoredWholeOrNotAtAll: what a source has found by fromExport was complete when it was found.
func TestARunIsRestoredWholeOrNotAtAll(t *testing.T) {
	remove := func(t *testing.T, s *s3server, key string) {
		mustDo(t, s.client.RemoveObject(t.Context(), testBucket, key, minio.RemoveObjectOptions{}))
	}
	for name, tt := range map[string]struct {
		change  func(t *testing.T, s *s3server, b *bench)
		request func(r *wire.Request)
		want    wire.Reason
		// restored is what it ends with where links and directories are restored; want, if it is empty.
		restored wire.Reason
	}{
		"as it was exported": {},
		"with an object of the user": {change: func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/1/mine", []byte("of the user"))
		}},
		"an object is where a link was": {change: func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/1/link", []byte("of the user"))
		}, restored: wire.SourceChanged},
		"an object is below where a link was": {change: func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/1/link/x", []byte("of the user"))
		}, restored: wire.SourceChanged},
		"an object is where a directory was": {change: func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/1/empty", []byte("of the user"))
		}, restored: wire.SourceChanged},
		"an object is where a link is not selected": {change: func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/1/link/x", []byte("of the user"))
		}, request: func(r *wire.Request) { r.Source.Include = []string{"a", "dir/**"} }},
		"an object is gone": {change: func(t *testing.T, s *s3server, _ *bench) {
			remove(t, s, "runs/1/dir/b")
		}, want: wire.SourceChanged},
		"an object is another": {change: func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/1/dir/b", []byte("B"))
		}, want: wire.SourceChanged},
		"one that is not selected is gone": {change: func(t *testing.T, s *s3server, _ *bench) {
			remove(t, s, "runs/1/dir/b")
		}, request: func(r *wire.Request) { r.Source.Exclude = []string{"dir/b"} }},
		"a directory of it": {
			request:  func(r *wire.Request) { r.Source.Prefix = "runs/1/dir/" },
			restored: wire.SourceChanged, // It has no manifest.
		},
		"a directory of it, and an object there is gone": {change: func(t *testing.T, s *s3server, _ *bench) {
			remove(t, s, "runs/1/dir/b")
		}, request: func(r *wire.Request) { r.Source.Prefix = "runs/1/dir/" }, want: wire.SourceChanged},
		"a part of a name, and an object there is gone": {change: func(t *testing.T, s *s3server, _ *bench) {
			remove(t, s, "runs/1/dir/b")
		}, request: func(r *wire.Request) {
			r.Source.Prefix, r.Source.PrefixMode, r.Source.Include = "runs/1/di", plan.LiteralPrefix, []string{"dir/**"}
		}, want: wire.SourceChanged, restored: wire.RequestRejected},
		"all of it is gone": {change: func(t *testing.T, s *s3server, _ *bench) {
			for _, key := range []string{"a", "dir/b", manifest.Key} {
				remove(t, s, "runs/1/"+key)
			}
			s.put(t, "runs/1/mine", []byte("of the user"))
		}, want: wire.NoSuchObject},
		"the manifest is gone": {change: func(t *testing.T, s *s3server, _ *bench) {
			remove(t, s, "runs/1/"+manifest.Key)
		}, want: wire.NoSuchObject},
		"another run has taken its place": {change: func(_ *testing.T, _ *s3server, b *bench) {
			b.file("a", "other")
			b.request.Export.Run = "run-2"
			b.mustBeDone(b.run())
		}, want: wire.NoSuchObject},
		"the same run says something else": {change: func(t *testing.T, s *s3server, _ *bench) {
			text := s.object(t, "runs/1/"+manifest.Key)
			m, err := manifest.Read(strings.NewReader(text))
			mustDo(t, err)
			m.Entries = m.Entries[:1]
			m.Digest, err = manifest.Digest(m.Entries)
			mustDo(t, err)
			var forged strings.Builder
			mustDo(t, m.Write(&forged))
			s.put(t, "runs/1/"+manifest.Key, []byte(forged.String()))
		}, want: wire.NoSuchObject},
	} {
		for _, attributes := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", with attributes"}[attributes], func(t *testing.T) {
				s := startVersity(t)
				b := newExport(t, s.endpoint)
				b.file("a", "a")
				b.file("dir/b", "b")
				b.file("dir/.s3populator/c", "no data of a population of dir")
				mustDo(t, os.Symlink("a", b.at("link")))
				mustDo(t, os.MkdirAll(b.at("empty/below"), 0o755))
				digest := b.mustBeDone(b.run()).ManifestDigest
				if tt.change != nil {
					tt.change(t, s, b)
				}
				_, r := b.populate(func(r *wire.Request) {
					r.Policy.RestoreAttributes = attributes
					r.Policy.Run = wire.ExportedRun{UID: "run-1", Prefix: "runs/1/", Digest: digest}
					if tt.request != nil {
						tt.request(r)
					}
				})
				want := tt.want
				if attributes {
					want = cmp.Or(tt.restored, want)
				}
				if r.Reason != want {
					t.Errorf("the report is %+v, want %q", r, want)
				}
			})
		}
	}
}

// TestAManifestThatBreaksOffCountsOnce: what was made of a part of it is forgotten when it is read anew.
func TestAManifestThatBreaksOffCountsOnce(t *testing.T) {
	for name, run := range map[string]bool{
		"1 of its objects are gone or others":                     true,
		"1 entries of the manifest are not as they were exported": false,
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			b := newExport(t, s.endpoint)
			b.file("a", "a")
			b.file("b", "b")
			digest := b.mustBeDone(b.run()).ManifestDigest
			s.put(t, "runs/1/a", []byte("another"))
			text := s.object(t, "runs/1/"+manifest.Key)
			var broken atomic.Bool
			p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodGet || keyOf(r) != "runs/1/"+manifest.Key || !broken.CompareAndSwap(false, true) {
					return false
				}
				w.Header().Set("Content-Length", strconv.Itoa(len(text)))
				w.Header().Set("Last-Modified", "Sun, 01 Nov 2026 00:00:00 GMT")
				_, _ = w.Write([]byte(text[:len(text)-4])) // Both entries.
				mustDo(t, http.NewResponseController(w).Flush())
				panic(http.ErrAbortHandler)
			})
			b.request.Source.Endpoint = p.URL
			_, r := b.populate(func(r *wire.Request) {
				if run {
					r.Policy.Run = wire.ExportedRun{UID: "run-1", Prefix: "runs/1/", Digest: digest}
				}
			})
			if !broken.Load() || !strings.Contains(r.Message, name) {
				t.Errorf("the report is %+v, want %q", r, name)
			}
		})
	}
}
