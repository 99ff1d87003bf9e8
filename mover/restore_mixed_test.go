// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// below is all that is below a prefix.
func (s *s3server) below(t *testing.T, prefix string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, key := range s.keys(t, prefix) {
		all[prefix+key] = s.object(t, prefix+key)
	}
	return all
}

// putAll writes objects over those that are there, a manifest last.
func (s *s3server) putAll(t *testing.T, all map[string]string) {
	t.Helper()
	for key, text := range all {
		if !strings.HasSuffix(key, manifest.Key) {
			s.put(t, key, []byte(text))
		}
	}
	for key, text := range all {
		if strings.HasSuffix(key, manifest.Key) {
			s.put(t, key, []byte(text))
		}
	}
}

// fetchedBefore leaves on the volume what an attempt does that was killed when it had fetched one file.
func (b *bench) fetchedBefore(name, text string) {
	b.t.Helper()
	v, err := volume.Open(b.paths.Volume, "")
	mustDo(b.t, err)
	defer v.Close()
	mustDo(b.t, v.MakeTarget())
	h := plan.Header{Claim: testClaim, Pod: "earlier-pod", Request: plan.SourceIdentity(b.request)}
	j, err := ledger.TakeOver(v.Root, h)
	mustDo(b.t, err)
	defer j.Close()
	b.file(name, text)
	stat, err := v.Stat(name)
	mustDo(b.t, err)
	mustDo(b.t, j.Add([]ledger.Line{{
		Path: name, Size: int64(len(text)), ModTime: stat.Mtim.Nano(), By: proof.ByMD5, ETag: hexMD5(text),
	}}))
}

// TestTwoRunsAreNotMixed: what an attempt before has fetched is of the run that is listed, so that nothing is asked for
// again. Where another run is complete once the manifest is read, its links and modes are not of those files.
func TestTwoRunsAreNotMixed(t *testing.T) {
	for _, engine := range []string{wire.EngineMC, wire.EngineNative} {
		t.Run(engine, func(t *testing.T) {
			s := startVersity(t)
			b := newExport(t, s.endpoint)
			b.file("x", "one")
			b.file("y", "y")
			mustDo(t, os.Symlink("x", b.at("link")))
			b.mustBeDone(b.run())
			one := s.below(t, "runs/1/")
			b.file("x", "two")
			mustDo(t, os.Remove(b.at("link")))
			mustDo(t, os.Symlink("y", b.at("link")))
			b.request.Export.Run = "run-2"
			b.mustBeDone(b.run())
			two, want := s.below(t, "runs/1/"), withoutOwners(tree(t, b.paths.Volume))
			s.putAll(t, one)

			var ended sync.Once
			proxy := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet && keyOf(r) == "runs/1/"+manifest.Key {
					ended.Do(func() { s.putAll(t, two) })
				}
				return false
			})
			p := newBench(t, proxy.URL)
			p.request.Source.Prefix, p.request.Policy.RestoreAttributes = "runs/1/", true
			p.request.Transfer.Engine, p.request.Attempt, p.request.Volume.Began = engine, 2, true
			p.fetchedBefore("x", "one")
			if r := p.run(); r.Reason != wire.SourceChanged {
				t.Errorf("the report is %+v, want %s", r, wire.SourceChanged)
			}
			ended.Do(func() { t.Fatal("the manifest was not read") })
			p.request.Attempt = 3
			p.mustBeDone(p.run())
			mustBeTree(t, want, p)
		})
	}
}

// TestAManifestThatIsAnotherWhenItIsReadAgain: a run is confirmed first and restored then. What the digest of a run is
// not of may be another in between.
func TestAManifestThatIsAnotherWhenItIsReadAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(m *manifest.Manifest)
		header func(http.Header) // Of what S3 says of it.
	}{
		"it has no links": {func(m *manifest.Manifest) {
			m.Entries = slices.DeleteFunc(m.Entries, func(e manifest.Entry) bool { return e.Type == manifest.Link })
		}, func(http.Header) {}},
		"it is of another run, of a server without entity tags": {
			func(m *manifest.Manifest) { m.Run = "run-2" }, // As long as it was, and stored in the same second.
			func(h http.Header) { h.Del("ETag"); h.Set("Last-Modified", "Fri, 27 Nov 2026 03:00:00 GMT") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			b := newExport(t, s.endpoint)
			b.file("a", "a")
			mustDo(t, os.Symlink("a", b.at("link")))
			digest := b.mustBeDone(b.run()).ManifestDigest
			m, err := manifest.Read(strings.NewReader(s.object(t, "runs/1/"+manifest.Key)))
			mustDo(t, err)
			tt.change(&m)
			var text strings.Builder
			mustDo(t, m.Write(&text))

			other := *s
			other.endpoint = otherAnswers(t, s, func(r *http.Response) {
				if keyOf(r.Request) == "runs/1/"+manifest.Key {
					tt.header(r.Header)
				}
			})
			var reads atomic.Int64
			b.request.Source.Endpoint = startProxy(t, &other, func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet && keyOf(r) == "runs/1/"+manifest.Key && reads.Add(1) == 2 {
					s.put(t, keyOf(r), []byte(text.String()))
				}
				return false
			}).URL
			_, r := b.populate(func(r *wire.Request) {
				r.Policy.Run = wire.ExportedRun{UID: "run-1", Prefix: "runs/1/", Digest: digest}
			})
			if n := reads.Load(); n != 2 || r.Reason != wire.SourceChanged {
				t.Errorf("after %d times that it was read the report is %+v, want %s", n, r, wire.SourceChanged)
			}
		})
	}
}
