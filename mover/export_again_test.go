// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/wire"
)

// To overwrite is to send every file, with the tags and the encryption that are asked for now. An attempt
// after an interrupted one leaves what that one has sent, and nothing older.
func TestOverwriteThatIsInterrupted(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		b := newExport(t, s.endpoint)
		for _, name := range []string{"a", "b", "c"} {
			b.file(name, name)
		}
		b.mustBeDone(b.run())
		time.Sleep(2 * time.Second) //nolint:forbidigo // S3 tells seconds, and nothing else tells of them.
		var mu sync.Mutex
		sent, broken := map[string]int{}, true
		p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
			mu.Lock()
			defer mu.Unlock()
			if r.Method != http.MethodPut || strings.Contains(keyOf(r), ".s3populator/") {
				return false
			}
			if broken && keyOf(r) == "runs/1/b" {
				return s3Error(w, http.StatusForbidden, "AccessDenied")
			}
			sent[keyOf(r)]++
			return false
		})
		b.request.Source.Endpoint, b.request.Export.Run, b.request.Export.OnExisting = p.URL, "run-2", wire.Overwrite
		b.request.Export.Tags, b.request.Transfer.Parallelism = map[string]string{"team": "new"}, 1
		if r := b.run(); r.Reason != wire.AccessDenied {
			t.Fatalf("the report is %+v", r)
		}
		mu.Lock()
		broken = false
		mu.Unlock()
		b.request.Attempt = 2
		b.mustBeDone(b.run())
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff(map[string]int{"runs/1/a": 1, "runs/1/b": 1, "runs/1/c": 1}, sent); diff != "" {
			t.Errorf("sent were (-want +got):\n%s", diff)
		}
		for key := range sent {
			tags, err := s.client.GetObjectTagging(t.Context(), testBucket, key, minio.GetObjectTaggingOptions{})
			if err != nil || tags.ToMap()["team"] != "new" {
				t.Errorf("%s has the tags %v (%v)", key, tags, err)
			}
		}
	})
}

// The report of an export to one key may be lost. Asked again, it is complete, whatever must not be there.
func TestOneKeyWhoseReportIsLost(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		b := newExport(t, s.endpoint)
		b.file("f", "content")
		b.request.Volume.TargetPath, b.request.Source.Prefix = "f", ""
		b.request.Export.Key, b.request.Export.OnExisting = "key", wire.Fail
		b.mustBeDone(b.run())
		b.request.Attempt = 2
		if r := b.mustBeDone(b.run()); r.Objects != 1 {
			t.Errorf("the report is %+v", r)
		}
		b.request.Export.Run = "run-2"
		if r := b.run(); r.Reason != wire.ExistsAlready {
			t.Errorf("the report of another run is %+v, want %s", r, wire.ExistsAlready)
		}
	})
}

// What appears after the listing must not be overwritten either.
func TestAnObjectThatAppearsMeanwhile(t *testing.T) {
	for name, size := range map[string]int{"small": 10, "larger": 1 << 20, "large": 20 << 20} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *s3server) {
				var once sync.Once
				p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
					if r.Method == http.MethodPut && strings.HasSuffix(keyOf(r), "begun.json") {
						once.Do(func() { s.put(t, "runs/1/f", []byte("somebody's")) })
					}
					return false
				})
				b := newExport(t, p.URL)
				b.file("f", strings.Repeat("x", size))
				b.request.Export.OnExisting = wire.Fail
				if r := b.run(); r.Reason != wire.ExistsAlready || s.object(t, "runs/1/f") != "somebody's" {
					t.Errorf("the report is %+v, want %s", r, wire.ExistsAlready)
				}
				if got := s.uploads(t); len(got) > 0 {
					t.Errorf("there are open uploads of %q", got)
				}
			})
		})
	}
}

// A server that knows no condition is asked without, and an answer that is lost is no object of somebody else.
func TestConditionsThatAreNotUnderstood(t *testing.T) {
	for name, fault := range map[string]func(t *testing.T, s *s3server, w http.ResponseWriter, r *http.Request) bool{
		"not implemented": func(_ *testing.T, _ *s3server, w http.ResponseWriter, r *http.Request) bool {
			return r.Header.Get("If-None-Match") != "" && s3Error(w, http.StatusNotImplemented, "NotImplemented")
		},
		"the answer is lost": func(t *testing.T, s *s3server, w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("If-None-Match") == "" || strings.Contains(keyOf(r), ".s3populator/") || r.Method != http.MethodPut {
				return false
			}
			if _, err := s.client.StatObject(t.Context(), testBucket, keyOf(r), minio.StatObjectOptions{}); err == nil {
				return false
			}
			text, err := io.ReadAll(r.Body)
			mustDo(t, err)
			s.put(t, keyOf(r), text)
			return s3Error(w, http.StatusServiceUnavailable, "SlowDown")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			var mu sync.Mutex
			p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
				mu.Lock()
				defer mu.Unlock()
				return fault(t, s, w, r)
			})
			b := newExport(t, p.URL)
			b.file("small", "small")
			b.file("larger", strings.Repeat("x", 1<<20))
			b.file("large", strings.Repeat("y", 17<<20))
			b.request.Export.OnExisting = wire.Fail
			if r := b.mustBeDone(b.run()); r.Objects != 3 || s.object(t, "runs/1/small") != "small" {
				t.Errorf("the report is %+v", r)
			}
			if got := s.uploads(t); len(got) > 0 {
				t.Errorf("there are open uploads of %q", got)
			}
		})
	}
}
