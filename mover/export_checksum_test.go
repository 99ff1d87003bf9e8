// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/wire"
)

// refusingChecksums is a server that refuses to be asked for checksums of objects, and counts how often it is.
func refusingChecksums(t *testing.T, s *s3server, status int, fault func(http.ResponseWriter, *http.Request) bool) (
	p *proxy, asked *atomic.Int64,
) {
	t.Helper()
	asked = new(atomic.Int64)
	return startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Amz-Checksum-Mode") != "" {
			asked.Add(1)
			w.WriteHeader(status)
			return true
		}
		return fault(w, r)
	}), asked
}

// The answer to an upload may be lost, of a server that is not asked for checksums: what is there is compared by its
// entity tag.
func TestAnUploadWhoseAnswerIsLostWithoutChecksums(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusNotImplemented} {
		s := startVersity(t)
		var once, ended sync.Once
		p, asked := refusingChecksums(t, s, status, func(w http.ResponseWriter, r *http.Request) (lost bool) {
			switch {
			case r.Header.Get("X-Amz-Checksum-Algorithm") != "", r.Header.Get("X-Amz-Checksum-Crc64nvme") != "":
				return s3Error(w, http.StatusNotImplemented, "NotImplemented")
			case r.Method == http.MethodPut && keyOf(r) == "runs/1/small":
				once.Do(func() { s.put(t, keyOf(r), []byte("small")); lost = true })
			case r.Method == http.MethodPost && keyOf(r) == "runs/1/large" && r.URL.Query().Has("uploadId"):
				ended.Do(func() { lost = forwarded(t, s, r) })
			}
			return lost && s3Error(w, http.StatusServiceUnavailable, "SlowDown")
		})
		b := newExport(t, p.URL)
		b.file("small", "small")
		large := content(3, 17<<20)
		mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "large"), large, 0o600))
		b.request.Export.OnExisting = wire.Fail
		if r := b.mustBeDone(b.run()); r.Objects != 2 || s.object(t, "runs/1/large") != string(large) {
			t.Errorf("%d: the report is %+v", status, r)
		}
		if n := asked.Load(); n == 0 {
			t.Errorf("%d: S3 was not asked for a checksum, so nothing was shown", status)
		}
	}
}

// forwarded sends a request on, and forgets its answer.
func forwarded(t *testing.T, s *s3server, r *http.Request) bool {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	mustDo(t, err)
	on, err := http.NewRequestWithContext(t.Context(), r.Method, s.endpoint+r.URL.RequestURI(), bytes.NewReader(text))
	mustDo(t, err)
	on.Header, on.Host, on.ContentLength = r.Header.Clone(), r.Host, r.ContentLength
	answer, err := http.DefaultClient.Do(on)
	mustDo(t, err)
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the upload was completed with status %d", answer.StatusCode)
	}
	return true
}

// A server may know no CRC64NVME and not look at an MD5 either. Its entity tags tell what it has received.
func TestAPartThatIsDamagedOnItsWay(t *testing.T) {
	s := startVersity(t)
	silent := *s
	silent.endpoint = otherAnswers(t, s, func(r *http.Response) {
		if r.Request.Method == http.MethodPost {
			bodyWithoutChecksums(t, r)
		}
	})
	p := startProxy(t, &silent, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Amz-Checksum-Algorithm") != "" || r.Header.Get("X-Amz-Checksum-Crc64nvme") != "" {
			return s3Error(w, http.StatusNotImplemented, "NotImplemented")
		}
		if r.Method == http.MethodPut && keyOf(r) == "runs/1/large" && r.URL.Query().Get("partNumber") == "2" {
			r.Body = io.NopCloser(bytes.NewReader(make([]byte, r.ContentLength)))
			r.Header.Del("Content-Md5")
			r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
			signAnew(r)
		}
		return false
	})
	b := newExport(t, p.URL)
	mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "large"), content(2, 40<<20), 0o600))
	if r := b.run(); r.Reason != wire.VerificationFailed || !strings.Contains(r.Message, "other bytes") {
		t.Errorf("the report is %+v, want %s", r, wire.VerificationFailed)
	}
	if got := s.keys(t, "runs/1/.s3populator/manifest.json"); len(got) > 0 {
		t.Error("there is a manifest")
	}
}

// bodyWithoutChecksums takes the CRC64NVME out of an answer.
func bodyWithoutChecksums(t *testing.T, r *http.Response) {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	mustDo(t, err)
	text = regexp.MustCompile(`<ChecksumCRC64NVME>[^<]*</ChecksumCRC64NVME>`).ReplaceAll(text, nil)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	r.Header.Set("Content-Length", strconv.Itoa(len(text)))
}

// A copy that nothing proves is sent, where S3 tells no checksum of it and refuses to be asked for one.
func TestACopyWithoutChecksums(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusNotImplemented} {
		s := startVersity(t)
		b := newExport(t, s.endpoint)
		large := content(3, 17<<20)
		mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "large"), large, 0o600))
		b.settle()
		b.mustBeDone(b.run())
		silent := *s
		silent.endpoint = otherAnswers(t, s, func(r *http.Response) {
			if r.Request.Header.Get("X-Amz-Copy-Source") != "" {
				bodyWithoutChecksums(t, r)
			}
		})
		p, asked := refusingChecksums(t, &silent, status, func(http.ResponseWriter, *http.Request) bool { return false })
		b.request.Source.Endpoint = p.URL
		b.request.Source.Prefix, b.request.Export.Run, b.request.Export.CopyFrom = "runs/2/", "run-2", "runs/1/"
		if r := b.mustBeDone(b.run()); r.SentObjects != 1 || r.CopiedObjects != 0 || asked.Load() == 0 {
			t.Errorf("%d: S3 was asked %d times; the report is %+v", status, asked.Load(), r)
		}
		if s.object(t, "runs/2/large") != string(large) {
			t.Errorf("%d: the object is not the file", status)
		}
	}
}

// An object whose listed entity tag is no digest is compared with what S3 tells of it: without a checksum, it is sent.
func TestAnExistingObjectWithoutChecksums(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("f", "content")
	b.mustBeDone(b.run())
	info, err := s.client.StatObject(t.Context(), testBucket, "runs/1/f", minio.StatObjectOptions{})
	mustDo(t, err)
	opaque := *s
	opaque.endpoint = otherAnswers(t, s, func(r *http.Response) {
		r.Header.Set("ETag", strings.ReplaceAll(r.Header.Get("ETag"), info.ETag, "opaque"))
		if keyOf(r.Request) != "" {
			return
		}
		text, err := io.ReadAll(r.Body)
		mustDo(t, err)
		text = bytes.ReplaceAll(text, []byte(info.ETag), []byte("opaque"))
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
		r.Header.Set("Content-Length", strconv.Itoa(len(text)))
	})
	p, asked := refusingChecksums(t, &opaque, http.StatusNotImplemented, func(http.ResponseWriter, *http.Request) bool {
		return false
	})
	b.request.Source.Endpoint, b.request.Export.Run, b.request.Export.OnExisting = p.URL, "run-2", wire.SkipIdentical
	mustDo(t, os.Chtimes(filepath.Join(b.paths.Volume, "f"), time.Time{}, time.Unix(1e9, 0)))
	if r := b.mustBeDone(b.run()); r.SentObjects != 1 || asked.Load() == 0 {
		t.Errorf("S3 was asked %d times; the report is %+v", asked.Load(), r)
	}
}
