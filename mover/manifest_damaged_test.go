// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/wire"
)

// damaging gives the manifest of a run, also one that was moved aside, with other modes, which no digest of a run is
// of, the first times that it is read, and says of it what change leaves.
func damaging(t *testing.T, s *s3server, times int64, change func(http.Header)) string {
	t.Helper()
	var reads atomic.Int64
	return otherAnswers(t, s, func(r *http.Response) {
		if key := keyOf(r.Request); key != "runs/1/"+manifest.Key && key != "runs/1/"+manifest.PreviousKey {
			return
		}
		change(r.Header)
		if r.Request.Method != http.MethodGet || r.StatusCode != http.StatusOK || reads.Add(1) > times {
			return
		}
		text, err := io.ReadAll(r.Body)
		mustDo(t, err)
		damaged := bytes.ReplaceAll(text, []byte(`"mode":4`), []byte(`"mode":5`)) // As long as it was.
		if bytes.Equal(damaged, text) {
			t.Error("nothing of the manifest is another")
		}
		r.Body = io.NopCloser(bytes.NewReader(damaged))
	})
}

// TestAManifestThatIsDamaged: what S3 tells of it is compared with what came, because nothing else is.
func TestAManifestThatIsDamaged(t *testing.T) {
	const always = 1 << 30
	const other = "0123456789abcdef0123456789abcdef"
	as := func(tag string, more ...string) func(http.Header) {
		return func(h http.Header) {
			withoutChecksums(h)
			if tag != "" {
				h.Set("ETag", `"`+tag+`"`)
			}
			for i := 0; i < len(more); i += 2 {
				h.Set(more[i], more[i+1])
			}
		}
	}
	const crc, ofNothing = "X-Amz-Checksum-Crc64nvme", "AAAAAAAAAAA="
	for name, tt := range map[string]struct {
		times  int64
		change func(http.Header)
		verify string
		want   wire.Reason
	}{
		"once":                     {times: 1, change: func(http.Header) {}},
		"always":                   {times: always, change: func(http.Header) {}, want: wire.VerificationFailed},
		"with an entity tag alone": {times: always, change: as(""), want: wire.VerificationFailed},
		"with a checksum alone": {
			times: always, change: as("opaque", crc, ofNothing), want: wire.VerificationFailed,
		},
		"never, with an entity tag alone":                   {change: as("")},
		"never, with a checksum of a part":                  {change: as("", crc, ofNothing)},
		"never, with a tag of another kind":                 {change: as(other), want: wire.VerificationFailed},
		"never, with a tag of another kind, and that known": {change: as(other), verify: proof.VerifySize},
		"never, under a KMS key":                            {change: as(other, "X-Amz-Server-Side-Encryption", "aws:kms")},
		"never, and S3 tells nothing":                       {change: as("opaque")},
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			b := newExport(t, s.endpoint)
			b.file("a", "a")
			mustDo(t, os.Chmod(b.at("a"), 0o640))
			b.mustBeDone(b.run())
			b.request.Source.Endpoint = damaging(t, s, tt.times, tt.change)
			p, r := b.populate(func(r *wire.Request) { r.Transfer.Verify = tt.verify })
			if r.Reason != tt.want {
				t.Fatalf("the report is %+v, want %q", r, tt.want)
			}
			if tt.want == "" && p.mode("a") != 0o640 {
				t.Errorf("the file has mode %o", p.mode("a"))
			}
		})
	}
}

// TestAManifestOfAServerThatRefusesToTellChecksums is read without one.
func TestAManifestOfAServerThatRefusesToTellChecksums(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusNotImplemented} {
		s := startVersity(t)
		b := newExport(t, s.endpoint)
		b.file("a", "a")
		mustDo(t, os.Chmod(b.at("a"), 0o640))
		b.mustBeDone(b.run())
		var asked atomic.Int64
		b.request.Source.Endpoint = startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
			if keyOf(r) != "runs/1/"+manifest.Key || r.Header.Get("X-Amz-Checksum-Mode") == "" {
				return false
			}
			asked.Add(1)
			return s3Error(w, status, "NotImplemented")
		}).URL
		p, r := b.populate(nil)
		p.mustBeDone(r)
		if asked.Load() == 0 || p.mode("a") != 0o640 {
			t.Errorf("%d: asked %d times; the file has mode %o", status, asked.Load(), p.mode("a"))
		}
	}
}

// TestAnExportAfterADamagedManifest leaves it where it is: what it lists is deleted once it comes right. Where somebody
// has removed it, the export ends, and deletes nothing.
func TestAnExportAfterADamagedManifest(t *testing.T) {
	for name, key := range map[string]string{"in its place": manifest.Key, "moved aside": manifest.PreviousKey} {
		for what, removed := range map[string]bool{"that comes right": false, "that somebody removes": true} {
			t.Run(name+", "+what, func(t *testing.T) { damagedBefore(t, "runs/1/"+key, removed) })
		}
	}
}

func damagedBefore(t *testing.T, key string, removed bool) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("a", "a")
	b.file("gone", "gone")
	mustDo(t, os.Chmod(b.at("a"), 0o640))
	b.settle()
	b.mustBeDone(b.run())
	text := s.object(t, "runs/1/"+manifest.Key)
	mustDo(t, s.client.RemoveObject(t.Context(), testBucket, "runs/1/"+manifest.Key, minio.RemoveObjectOptions{}))
	s.put(t, key, []byte(text))
	mustDo(t, os.Remove(b.at("gone")))
	b.request.Source.Endpoint = damaging(t, s, 1<<30, func(http.Header) {})
	b.request.Export.Run, b.request.Export.DeleteExtra = "run-2", true
	if r := b.run(); r.Reason != wire.VerificationFailed || !r.Class.Again() || !strings.Contains(r.Message, key) {
		t.Errorf("the report is %+v", r)
	}
	if s.object(t, key) != text || !s.has(t, "runs/1/gone") {
		t.Fatalf("there are %v", s.keys(t, "runs/1/"))
	}
	if removed {
		mustDo(t, s.client.RemoveObject(t.Context(), testBucket, key, minio.RemoveObjectOptions{}))
	} else {
		b.request.Source.Endpoint = s.endpoint
	}
	b.request.Attempt = 2
	if r := b.mustBeDone(b.run()); (r.DeletedObjects == 0) != removed || s.has(t, "runs/1/gone") != removed {
		t.Errorf("the report is %+v, and there are %v", r, s.keys(t, "runs/1/"))
	}
	if m := s.manifestOf(t, "runs/1/"); m.Run != "run-2" {
		t.Errorf("the manifest is that of %s", m.Run)
	}
}

// TestACompleteRunWhoseManifestIsDamaged, and whose report was lost, is not told to have found what is there.
func TestACompleteRunWhoseManifestIsDamaged(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.request.Export.OnExisting = wire.Fail
	b.file("a", "a")
	mustDo(t, os.Chmod(b.at("a"), 0o640))
	b.mustBeDone(b.run())
	b.request.Attempt, b.request.Source.Endpoint = 2, damaging(t, s, 1<<30, func(http.Header) {})
	if r := b.run(); r.Reason != wire.VerificationFailed || !r.Class.Again() {
		t.Errorf("the report is %+v", r)
	}
	b.request.Attempt, b.request.Source.Endpoint = 3, s.endpoint
	if r := b.mustBeDone(b.run()); r.Objects != 1 || !strings.Contains(r.Message, "earlier attempt") {
		t.Errorf("the report is %+v", r)
	}
}

// TestAManifestToCopyFromThatIsDamaged is of no use, and stays where it is: everything is sent.
func TestAManifestToCopyFromThatIsDamaged(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("a", "a")
	mustDo(t, os.Chmod(b.at("a"), 0o640))
	b.settle()
	b.mustBeDone(b.run())
	b.request.Source.Endpoint = damaging(t, s, 1<<30, func(http.Header) {})
	b.request.Source.Prefix, b.request.Export.Run, b.request.Export.CopyFrom = "runs/2/", "run-2", "runs/1/"
	if r := b.mustBeDone(b.run()); r.SentObjects != 1 || !s.has(t, "runs/1/"+manifest.Key) {
		t.Errorf("the report is %+v", r)
	}
}
