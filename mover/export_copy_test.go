// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/manifest"
)

// What S3 does not copy is sent: an archived object, or one that these keys may not read.
func TestObjectsThatCannotBeCopied(t *testing.T) {
	for name, fault := range map[string]func(w http.ResponseWriter) bool{
		"archived":    func(w http.ResponseWriter) bool { return s3Error(w, http.StatusForbidden, "InvalidObjectState") },
		"not allowed": func(w http.ResponseWriter) bool { return s3Error(w, http.StatusForbidden, "AccessDenied") },
		"too large":   func(w http.ResponseWriter) bool { return s3Error(w, http.StatusBadRequest, "InvalidRequest") },
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			b := newExport(t, s.endpoint)
			for _, name := range []string{"a", "b", "c"} {
				b.file(name, name)
			}
			b.settle()
			b.mustBeDone(b.run())
			p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
				return r.Header.Get("X-Amz-Copy-Source") != "" && fault(w)
			})
			b.request.Source.Endpoint = p.URL
			b.request.Source.Prefix, b.request.Export.Run, b.request.Export.CopyFrom = "runs/2/", "run-2", "runs/1/"
			if r := b.mustBeDone(b.run()); r.SentObjects != 3 || r.CopiedObjects != 0 {
				t.Errorf("the report is %+v, want three objects that were sent", r)
			}
			if n := strings.Count(b.log.String(), "cannot copy"); n != 1 {
				t.Errorf("it is said %d times:\n%s", n, b.log.String())
			}
		})
	}
}

// A manifest to copy from that is archived costs no more than the copies.
func TestAManifestThatIsArchived(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("a", "a")
	b.settle()
	b.mustBeDone(b.run())
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodGet && keyOf(r) == "runs/1/"+manifest.Key &&
			s3Error(w, http.StatusForbidden, "InvalidObjectState")
	})
	b.request.Source.Endpoint = p.URL
	b.request.Source.Prefix, b.request.Export.Run, b.request.Export.CopyFrom = "runs/2/", "run-2", "runs/1/"
	if r := b.mustBeDone(b.run()); r.SentObjects != 1 {
		t.Errorf("the report is %+v", r)
	}
}

// A copy has the tags that were asked for now, not those of the last run: a rule of the bucket may go by
// them.
func TestCopiesHaveNoTagsOfTheLastRun(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		b := newExport(t, s.endpoint)
		b.file("a", "a")
		b.settle()
		b.request.Export.Tags = map[string]string{"expire": "soon"}
		b.mustBeDone(b.run())
		b.request.Source.Prefix, b.request.Export.Run, b.request.Export.CopyFrom = "runs/2/", "run-2", "runs/1/"
		b.request.Export.Tags = nil
		if r := b.mustBeDone(b.run()); r.CopiedObjects != 1 {
			t.Errorf("the report is %+v, want one copy", r)
		}
		tags, err := s.client.GetObjectTagging(t.Context(), testBucket, "runs/2/a", minio.GetObjectTaggingOptions{})
		if err == nil && len(tags.ToMap()) > 0 {
			t.Errorf("the copy has the tags %v", tags.ToMap())
		}
	})
}

// Every name is copied as it is spelt.
func TestOddNamesAreCopied(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		b := newExport(t, s.endpoint)
		b.odd()
		b.settle()
		b.mustBeDone(b.run())
		b.request.Source.Prefix, b.request.Export.Run, b.request.Export.CopyFrom = "runs +%/2/", "run-2", "runs/1/"
		if r := b.mustBeDone(b.run()); r.CopiedObjects != r.Objects || r.SentObjects != 0 {
			t.Errorf("the report is %+v, want nothing but copies", r)
		}
		p, report := b.populate(nil)
		p.mustBeDone(report)
		if diff := cmp.Diff(tree(t, b.paths.Volume), tree(t, p.paths.Volume)); diff != "" {
			t.Errorf("(-exported +populated):\n%s", diff)
		}
	})
}
