// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// twoRuns exports a volume twice, each time to a prefix of its own, and returns what prunes the first.
func twoRuns(t *testing.T, s *s3server) (volume, prune *bench) {
	t.Helper()
	b := newExport(t, s.endpoint)
	for name, text := range map[string]string{"a": "a", "dir/b": "b", "dir/empty": ""} {
		b.file(name, text)
	}
	b.settle()
	first := b.mustBeDone(b.run())
	b.request.Source.Prefix, b.request.Export.Run, b.request.Export.CopyFrom = "runs/2/", "run-2", "runs/1/"
	second := b.mustBeDone(b.run())
	p := newExport(t, s.endpoint)
	p.request.Operation, p.request.Volume = wire.Prune, wire.Volume{}
	p.request.Prune = wire.PruneOptions{
		Claim: testClaim, Digest: first.ManifestDigest,
		Kept: []wire.KeptRun{{Run: "run-2", Prefix: "runs/2/", Digest: second.ManifestDigest}},
	}
	return b, p
}

// mustBeWhole populates a volume with a run, and compares it with what was exported.
func (b *bench) mustBeWhole(prefix string) {
	b.t.Helper()
	p, r := b.populate(func(r *wire.Request) { r.Source.Prefix = prefix })
	p.mustBeDone(r)
	if diff := cmp.Diff(tree(b.t, b.paths.Volume), tree(b.t, p.paths.Volume)); diff != "" {
		b.t.Errorf("below %s (-exported +populated):\n%s", prefix, diff)
	}
}

func TestAnOldRunIsPruned(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		b, p := twoRuns(t, s)
		s.put(t, "runs/1/mine", []byte("of the user"))
		s.put(t, "runs/1/dir/mine", []byte("of the user"))
		s.put(t, "runs/1/.s3populator/runs/run-1/begun.json", []byte("left"))
		if r := p.mustBeDone(p.run()); r.Objects != 3 || r.DeletedObjects != 3 || r.OtherObjects != 0 {
			t.Errorf("the report is %+v", r)
		}
		if diff := cmp.Diff([]string{"dir/mine", "mine"}, s.keys(t, "runs/1/")); diff != "" {
			t.Errorf("left are (-want +got):\n%s", diff)
		}
		b.mustBeWhole("runs/2/")
		if r := p.mustBeDone(p.run()); r.DeletedObjects != 0 || !strings.Contains(r.Message, "no manifest") {
			t.Errorf("a second time: %+v", r)
		}
	})
}

// What is not of the old run alone stays, and is told.
func TestPruningLeavesWhatIsOfOthers(t *testing.T) {
	other := func(t *testing.T, s *s3server, prefix string, files map[string]string) *bench {
		b := newExport(t, s.endpoint)
		for name, text := range files {
			b.file(name, text)
		}
		b.request.Source.Prefix, b.request.Export.Run = prefix, "run-of-another"
		b.request.Volume.ClaimUID = "another-claim"
		b.mustBeDone(b.run())
		return b
	}
	for name, tt := range map[string]struct {
		change func(t *testing.T, s *s3server) *bench
		stay   []string
		told   string
	}{
		"an object was written since": {func(t *testing.T, s *s3server) *bench {
			s.put(t, "runs/1/dir/b", []byte("by somebody"))
			return nil
		}, []string{"dir/b"}, "was written since"},
		"an object is gone": {func(t *testing.T, s *s3server) *bench {
			mustDo(t, s.client.RemoveObject(t.Context(), testBucket, "runs/1/a", minio.RemoveObjectOptions{}))
			return nil
		}, []string{}, "1 were gone"},
		"an export of another claim below the prefix": {func(t *testing.T, s *s3server) *bench {
			return other(t, s, "runs/1/dir/", map[string]string{"empty": "", "own": "own"})
		}, []string{"dir/.s3populator/manifest.json", "dir/empty", "dir/own"}, "another export lists it"},
		"an export of another claim to a prefix above": {func(t *testing.T, s *s3server) *bench {
			return other(t, s, "runs/", map[string]string{"1/a": "a", "1/own": "own"})
		}, []string{"a", "own"}, "another export lists it"},
		"an export of the whole bucket": {func(t *testing.T, s *s3server) *bench {
			return other(t, s, "", map[string]string{"runs/1/a": "a"})
		}, []string{"a"}, "another export lists it"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			b, p := twoRuns(t, s)
			beside := tt.change(t, s)
			r := p.mustBeDone(p.run())
			if diff := cmp.Diff(tt.stay, s.keys(t, "runs/1/")); diff != "" || !strings.Contains(r.Message, tt.told) {
				t.Errorf("left are (-want +got):\n%s\n%+v", diff, r)
			}
			b.mustBeWhole("runs/2/")
			if beside == nil {
				return
			}
			m, report := beside.populate(func(r *wire.Request) { r.Policy.RestoreAttributes = false; r.Policy.OnEmpty = "" })
			if report.Class != wire.Done || report.Objects < 1 {
				t.Errorf("the other export: %+v", report)
			}
			for name, want := range contents(t, beside.paths.Volume) {
				if got := contents(t, m.paths.Volume)[name]; got != want {
					t.Errorf("the other export has lost %s: %q", name, got)
				}
			}
		})
	}
}

// Where it is not certain what may go, everything stays.
func TestPruningThatIsRefused(t *testing.T) {
	copyOf := func(t *testing.T, s *s3server, from, to string, change func(string) string) {
		s.put(t, to, []byte(change(s.object(t, from))))
	}
	remove := func(t *testing.T, s *s3server, key string) {
		mustDo(t, s.client.RemoveObject(t.Context(), testBucket, key, minio.RemoveObjectOptions{}))
	}
	newest := func(t *testing.T, s *s3server, p *bench, links ...string) {
		e := newExport(t, s.endpoint)
		for _, name := range links {
			mustDo(t, os.Symlink("a", filepath.Join(e.paths.Volume, name)))
		}
		e.request.Source.Prefix, e.request.Export.Run = "runs/3/", "run-3"
		kept := wire.KeptRun{Run: "run-3", Prefix: "runs/3/", Digest: e.mustBeDone(e.run()).ManifestDigest}
		p.request.Prune.Kept = append([]wire.KeptRun{kept}, p.request.Prune.Kept...)
	}
	unsure := []string{ // Whether the run is whole: its own manifest was not found.
		"nothing is found at all", "a manifest with the user's own object in it", "a manifest that nobody can read",
		"a manifest that is damaged",
		"it is the manifest of another claim", "it is the manifest of another run", "the run is not complete",
	}
	for name, tt := range map[string]struct {
		change func(t *testing.T, s *s3server, p *bench)
		reason wire.Reason
		told   string
	}{
		"the run that stays has no manifest": {func(t *testing.T, s *s3server, _ *bench) {
			remove(t, s, "runs/2/"+manifest.Key)
		}, wire.VerificationFailed, "that is to stay"},
		"the run that stays lost an object": {func(t *testing.T, s *s3server, _ *bench) {
			remove(t, s, "runs/2/dir/b")
		}, wire.VerificationFailed, "of the newest run"},
		"an object of the run that stays is another": {func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/2/a", []byte("other"))
		}, wire.VerificationFailed, "of the newest run"},
		"the run that stays is another": {func(_ *testing.T, _ *s3server, p *bench) {
			p.request.Prune.Kept[0].Run = "run-3"
		}, wire.VerificationFailed, "that is to stay"},
		"an older run that stays is gone": {func(_ *testing.T, _ *s3server, p *bench) {
			gone := wire.KeptRun{Run: "run-0", Prefix: "runs/0/", Digest: "sha256:0"}
			p.request.Prune.Kept = append(p.request.Prune.Kept, gone)
		}, wire.VerificationFailed, "that is to stay"},
		"all objects were written since": {func(t *testing.T, s *s3server, _ *bench) {
			for _, key := range []string{"a", "dir/b", "dir/empty"} {
				s.put(t, "runs/1/"+key, []byte("by somebody"))
			}
		}, wire.RequestRejected, "were written after its manifest"},
		"the newest run that stays is of an empty volume": {func(t *testing.T, s *s3server, p *bench) {
			newest(t, s, p)
		}, wire.RequestRejected, "has no regular file, and this one has 3"},
		"the newest run that stays has a link alone": {func(t *testing.T, s *s3server, p *bench) {
			newest(t, s, p, "link")
		}, wire.RequestRejected, "has no regular file, and this one has 3"},
		"nothing is found at all": {func(t *testing.T, s *s3server, p *bench) {
			proxy := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
				return r.Method == http.MethodGet && !r.URL.Query().Has("list-type") && s3Error(w, http.StatusNotFound, "NoSuchKey")
			})
			p.request.Source.Endpoint = proxy.URL
		}, wire.VerificationFailed, "that is to stay"},
		"a manifest with the user's own object in it": {func(t *testing.T, s *s3server, _ *bench) {
			m, err := manifest.Read(strings.NewReader(s.object(t, "runs/1/"+manifest.Key)))
			mustDo(t, err)
			s.put(t, "runs/1/mine", []byte("of the user"))
			info, err := s.client.StatObject(t.Context(), testBucket, "runs/1/mine", minio.StatObjectOptions{})
			mustDo(t, err)
			m.Entries = append(m.Entries, manifest.Entry{Path: "mine", Type: manifest.File, Size: info.Size, ETag: info.ETag})
			m.Digest, err = manifest.Digest(m.Entries)
			mustDo(t, err)
			var text strings.Builder
			mustDo(t, m.Write(&text))
			s.put(t, "runs/1/"+manifest.Key, []byte(text.String()))
		}, wire.RequestRejected, "somebody has changed it"},
		"a manifest that nobody can read": {func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/1/"+manifest.Key, []byte("{}"))
		}, wire.RequestRejected, "not known which objects it lists"},
		"a manifest that is damaged": {func(t *testing.T, s *s3server, p *bench) {
			p.request.Source.Endpoint = damaging(t, s, 1<<30, func(http.Header) {})
		}, wire.VerificationFailed, "not known which objects it lists"},
		"one below it that nobody can read": {func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/1/dir/"+manifest.Key, []byte("{}"))
		}, wire.RequestRejected, "not known which objects it lists"},
		"an export is under way in the prefix": {func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/1/.s3populator/runs/run-3/begun.json", []byte("{}"))
		}, wire.VerificationFailed, "has begun"},
		"an export is under way below it": {func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/1/dir/.s3populator/runs/run-3/begun.json", []byte("{}"))
		}, wire.VerificationFailed, "has begun"},
		"an export is under way above it": {func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/.s3populator/runs/run-3/begun.json", []byte("{}"))
		}, wire.VerificationFailed, "has begun"},
		"nobody may look above it": {func(t *testing.T, s *s3server, p *bench) {
			proxy := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
				return r.URL.Query().Get("prefix") == "runs/.s3populator/" && s3Error(w, http.StatusForbidden, "AccessDenied")
			})
			p.request.Source.Endpoint = proxy.URL
		}, wire.AccessDenied, "s3:ListBucket"},
		"it is the manifest of another claim": {func(_ *testing.T, _ *s3server, p *bench) {
			p.request.Prune.Claim = "another-claim"
		}, wire.RequestRejected, "somebody has changed it"},
		"it is the manifest of another run": {func(t *testing.T, s *s3server, _ *bench) {
			copyOf(t, s, "runs/1/"+manifest.Key, "runs/1/"+manifest.Key, func(text string) string {
				return strings.Replace(text, `"run-1"`, `"run-3"`, 1)
			})
		}, "", "no manifest of this run"},
		"the run is not complete": {func(t *testing.T, s *s3server, _ *bench) {
			remove(t, s, "runs/1/"+manifest.Key)
		}, "", "no manifest of this run"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			_, p := twoRuns(t, s)
			tt.change(t, s, p)
			before := s.keys(t, "")
			r := p.run()
			if r.Reason != tt.reason || !strings.Contains(r.Message, tt.told) || r.DeletedObjects != 0 {
				t.Errorf("the report is %+v, want %s with %q", r, tt.reason, tt.told)
			}
			if diff := cmp.Diff(before, s.keys(t, "")); diff != "" {
				t.Errorf("(-before +after):\n%s", diff)
			}
			if r.Whole == slices.Contains(unsure, name) {
				t.Errorf("it says that the run is whole: %t", r.Whole)
			}
		})
	}
}

// Keys that may write and not delete leave a run as complete as it was, and that is said.
func TestPruningWithoutTheRightToDelete(t *testing.T) {
	s := startVersity(t)
	b, p := twoRuns(t, s)
	proxy := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodDelete && s3Error(w, http.StatusForbidden, "AccessDenied")
	})
	p.request.Source.Endpoint = proxy.URL
	for range 2 {
		if r := p.run(); r.Reason != wire.AccessDenied || !r.Whole || r.DeletedObjects != 0 {
			t.Errorf("the report is %+v", r)
		}
	}
	b.mustBeWhole("runs/1/")
}

// Whichever write is the last of a mover, what is left is no complete run of which something is missing, and the
// next mover removes the rest.
func TestPruningThatEndsAtAnyWrite(t *testing.T) {
	for _, heard := range []bool{false, true} {
		for ends := 1; ; ends++ {
			writes := prunedAfterAnEnd(t, ends, heard)
			if writes < ends {
				if writes < 6 {
					t.Errorf("there were %d writes only", writes)
				}
				break
			}
		}
	}
}

func prunedAfterAnEnd(t *testing.T, ends int, heard bool) (writes int) {
	s := startVersity(t)
	b, p := twoRuns(t, s)
	s.put(t, "runs/1/mine", []byte("of the user"))
	ctx, stop := context.WithCancelCause(t.Context())
	proxy := startProxy(t, s, nil)
	inner := proxy.Config.Handler
	proxy.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut || r.Method == http.MethodDelete {
			writes++
			if writes == ends {
				if heard {
					inner.ServeHTTP(httptest.NewRecorder(), r)
				}
				stop(fault.ErrTerminated)
				s3Error(w, http.StatusForbidden, "AccessDenied")
				return
			}
		}
		inner.ServeHTTP(w, r)
	})
	p.request.Source.Endpoint, p.request.Transfer.Parallelism = proxy.URL, 1
	said := p.runContext(ctx)
	if (said.Class == wire.Done) != (writes < ends) {
		t.Errorf("end at write %d (heard: %t): %+v", ends, heard, said)
	}
	keys := s.keys(t, "runs/1/")
	if said.Whole && !slices.Contains(keys, manifest.Key) || !said.Whole && ends == 1 {
		t.Errorf("end at write %d (heard: %t): it says that the run is whole: %t", ends, heard, said.Whole)
	}
	for _, key := range []string{"a", "dir/b", "dir/empty"} {
		if slices.Contains(keys, manifest.Key) && !slices.Contains(keys, key) {
			t.Errorf("end at write %d (heard: %t): a manifest lists %s, which is gone", ends, heard, key)
		}
	}
	old, r := b.populate(func(r *wire.Request) { r.Source.Prefix = "runs/1/" })
	if r.Class == wire.Done {
		for name, want := range contents(t, b.paths.Volume) {
			if got, ok := contents(t, old.paths.Volume)[name]; !ok || got != want {
				t.Errorf("end at write %d (heard: %t): a part of the run was restored as if it were all", ends, heard)
			}
		}
	} else if r.Reason != wire.SourceChanged && r.Reason != wire.NoSuchObject {
		t.Errorf("end at write %d (heard: %t): %+v", ends, heard, r)
	}
	p.request.Source.Endpoint, p.request.Attempt = s.endpoint, 2
	p.mustBeDone(p.run())
	if diff := cmp.Diff([]string{"mine"}, s.keys(t, "runs/1/")); diff != "" {
		t.Errorf("end at write %d (heard: %t): left are (-want +got):\n%s", ends, heard, diff)
	}
	b.mustBeWhole("runs/2/")
	return writes
}

// contents are the regular files of a volume.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, what := range tree(t, dir) {
		if _, text, isFile := strings.Cut(what, " content "); isFile {
			all[name] = text
		}
	}
	return all
}
