// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// tagless stands before a server and tells no entity tags.
func tagless(t *testing.T, s *s3server) string {
	t.Helper()
	tag := regexp.MustCompile(`<ETag>[^<]*</ETag>`)
	return otherAnswers(t, s, func(r *http.Response) {
		r.Header.Del("ETag")
		if r.Request.Method != http.MethodGet || keyOf(r.Request) != "" {
			return
		}
		text, err := io.ReadAll(r.Body)
		mustDo(t, err)
		text = tag.ReplaceAll(text, nil)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
		r.Header.Set("Content-Length", strconv.Itoa(len(text)))
	})
}

// TestARunOfAServerWithoutEntityTags is restored as it was exported: its files are told by their sizes.
func TestARunOfAServerWithoutEntityTags(t *testing.T) {
	for _, engine := range []string{wire.EngineMC, wire.EngineNative} {
		t.Run(engine, func(t *testing.T) {
			s := startVersity(t)
			b := newExport(t, s.endpoint)
			b.file("a", "a")
			b.file("dir/b", "b")
			mustDo(t, os.Chmod(b.at("a"), 0o640))
			digest := b.mustBeDone(b.run()).ManifestDigest
			want := withoutOwners(tree(t, b.paths.Volume))
			s.put(t, "runs/1/dir/b", []byte("of another size"))
			b.request.Source.Endpoint = tagless(t, s)
			p, r := b.populate(func(r *wire.Request) { r.Transfer.Engine = engine })
			p.mustBeDone(r)
			if !strings.Contains(r.Message, "1 entries of the manifest are not as they were exported") {
				t.Errorf("the message is %q", r.Message)
			}
			s.put(t, "runs/1/dir/b", []byte("b"))
			p, r = b.populate(func(r *wire.Request) {
				r.Transfer.Engine = engine
				r.Policy.Run = wire.ExportedRun{UID: "run-1", Prefix: "runs/1/", Digest: digest}
			})
			p.mustBeDone(r)
			mustBeTree(t, want, p)
		})
	}
}

// TestAManifestOfAServerThatTellsFewTags is known again when it is read, whatever a HEAD has told of it, and another
// one is not taken for it.
func TestAManifestOfAServerThatTellsFewTags(t *testing.T) {
	const key = "runs/1/" + manifest.Key
	for name, tt := range map[string]struct {
		tells   string // The method whose answers hold an entity tag.
		another bool
		want    wire.Reason
	}{
		"with the content alone":                      {http.MethodGet, false, ""},
		"with a HEAD alone":                           {http.MethodHead, false, ""},
		"none, and by then it is that of another run": {"", true, wire.SourceChanged},
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			b := newExport(t, s.endpoint)
			b.file("a", "a")
			mustDo(t, os.Chmod(b.at("a"), 0o640))
			b.mustBeDone(b.run())
			m := s.manifestOf(t, "runs/1/")
			m.Run = "run-of-another-size"
			var text strings.Builder
			mustDo(t, m.Write(&text))
			var replaced sync.Once
			other := *s
			other.endpoint = otherAnswers(t, s, func(r *http.Response) {
				if keyOf(r.Request) == key && r.Request.Method != tt.tells {
					r.Header.Del("ETag")
				}
			})
			b.request.Source.Endpoint = startProxy(t, &other, func(_ http.ResponseWriter, r *http.Request) bool {
				if tt.another && r.Method == http.MethodGet && keyOf(r) == key {
					replaced.Do(func() { s.put(t, key, []byte(text.String())) })
				}
				return false
			}).URL
			p, r := b.populate(nil)
			if r.Reason != tt.want {
				t.Fatalf("the report is %+v, want %q", r, tt.want)
			}
			if tt.want == "" && p.mode("a") != 0o640 {
				t.Errorf("the file has mode %o", p.mode("a"))
			}
		})
	}
}
