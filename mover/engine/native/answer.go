// SPDX-License-Identifier: Apache-2.0

package native

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/engine"
)

// answer is the head of one. Its slices are valid until the body is read.
type answer struct {
	status    int
	length    int64 // -1: not told.
	chunked   bool
	closes    bool   // The connection is of no use after it.
	kept      bool   // Another answer came on the same connection before it.
	code      string // Of an error, where a header has it: an answer to HEAD has no body.
	etag      []byte
	version   []byte
	part      engine.Range // Of Content-Range.
	total     int64        // The object's size, of Content-Range; -1: not told.
	said      engine.Sum
	composite bool // The checksum is one of parts' checksums.
	encrypted bool
	pinned    bool // It names the entity tag or the version that was asked for.
}

func (a *answer) reset() { *a = answer{length: -1, total: -1} }

// parseStatus reads "HTTP/1.1 200 OK". A server of HTTP/1.0 keeps no connection.
func (a *answer) parseStatus(line []byte) error {
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
		return fmt.Errorf("%w: it begins with %.40q, which is not HTTP", engine.ErrAnswer, line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil || status < 100 {
		return fmt.Errorf("%w: its status is %q", engine.ErrAnswer, line[9:12])
	}
	a.status, a.closes = status, line[7] == '0'
	return nil
}

// header takes one in; most are of no interest.
func (a *answer) header(name, value []byte) error {
	switch {
	case fold(name, "etag"):
		a.etag = trimTag(value)
	case fold(name, "connection"):
		a.closes = a.closes || containsFold(value, "close")
	case fold(name, "content-range"):
		return a.contentRange(value)
	case fold(name, "content-length"):
		return a.contentLength(value)
	case fold(name, "transfer-encoding"):
		a.chunked = !fold(value, "identity")
	case fold(name, "x-minio-error-code"):
		a.code = string(value)
	case len(name) > len("x-amz-") && fold(name[:6], "x-amz-"):
		a.amazon(name[6:], value)
	}
	return nil
}

func (a *answer) contentLength(value []byte) error {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n < 0 || a.length >= 0 && a.length != n {
		return fmt.Errorf("%w: its Content-Length is %q", engine.ErrAnswer, value)
	}
	a.length = n
	return nil
}

// contentRange reads "bytes 0-99/200"; "bytes */200" of an error says nothing of interest.
func (a *answer) contentRange(value []byte) error {
	text := string(value)
	rest, ok := strings.CutPrefix(text, "bytes ")
	span, total, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		return fmt.Errorf("%w: its Content-Range is %q", engine.ErrAnswer, value)
	}
	if span == "*" {
		return nil
	}
	first, last, ok := strings.Cut(span, "-")
	from, err := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if !ok || err != nil || err2 != nil || from < 0 || to < from {
		return fmt.Errorf("%w: its Content-Range is %q", engine.ErrAnswer, value)
	}
	a.part = engine.Range{Offset: from, Length: to - from + 1}
	if total != "*" {
		if a.total, err = strconv.ParseInt(total, 10, 64); err != nil {
			return fmt.Errorf("%w: its Content-Range is %q", engine.ErrAnswer, value)
		}
	}
	return nil
}

// amazon takes a header of S3's own in, without its "x-amz-".
func (a *answer) amazon(name, value []byte) {
	const checksum = "checksum-"
	switch {
	case fold(name, "version-id"):
		a.version = value
	case fold(name, "server-side-encryption"):
		a.encrypted = a.encrypted || fold(value, "aws:kms") || fold(value, "aws:kms:dsse")
	case fold(name, "server-side-encryption-customer-algorithm"):
		a.encrypted = a.encrypted || len(value) > 0
	case fold(name, "checksum-type"):
		a.composite = !fold(value, "FULL_OBJECT")
	case len(name) > len(checksum) && fold(name[:len(checksum)], checksum):
		a.checksum(name[len(checksum):], value)
	}
}

// algorithms that S3 names, those that cost least first.
var algorithms = []struct {
	name string
	algo engine.Algorithm
	size int
}{
	{"crc64nvme", engine.CRC64NVME, 8},
	{"crc32c", engine.CRC32C, 4},
	{"crc32", engine.CRC32, 4},
	{"sha256", engine.SHA256, 32},
	{"sha1", engine.SHA1, 20},
}

// rank orders algorithms by what they cost; unknown ones come last.
func rank(a engine.Algorithm) int {
	for i, known := range algorithms {
		if known.algo == a {
			return i
		}
	}
	return len(algorithms)
}

// checksum keeps the cheapest that is well-formed: one of parts has "-N" after it.
func (a *answer) checksum(name, value []byte) {
	for i, known := range algorithms {
		if !fold(name, known.name) || rank(a.said.Algorithm) <= i {
			continue
		}
		var raw [64]byte
		if base64.StdEncoding.DecodedLen(len(value)) > len(raw) {
			return
		}
		n, err := base64.StdEncoding.Decode(raw[:], value)
		if err != nil || n != known.size {
			return
		}
		a.said = engine.Sum{Algorithm: known.algo}
		copy(a.said.Value[:], raw[:n])
	}
}

// checksumOfAll is what S3 says of the whole object. An answer of a part may speak of that.
func (a *answer) checksumOfAll() engine.Sum {
	if a.composite {
		return engine.Sum{}
	}
	return a.said
}

// refusal turns an answer that is an error into one of minio-go's, which is classified like
// those of its own requests.
func refusal(a *answer, body []byte, bucket, key string) error {
	r := minio.ErrorResponse{}
	if err := xml.Unmarshal(body, &r); err != nil || r.Code == "" {
		r = minio.ErrorResponse{Code: http.StatusText(a.status), Message: http.StatusText(a.status)}
		if a.status == http.StatusNotFound {
			r.Code = minio.NoSuchKey
		}
		r.Code = cmp.Or(a.code, r.Code)
	}
	r.StatusCode, r.BucketName, r.Key = a.status, bucket, key
	switch {
	case a.status == http.StatusPreconditionFailed,
		a.status == http.StatusNotFound && r.Code != minio.NoSuchBucket:
		return fmt.Errorf("%w: %w", engine.ErrChanged, r)
	}
	return r
}

// fold compares without regard to case; the second is ASCII.
func fold(b []byte, s string) bool {
	return len(b) == len(s) && strings.EqualFold(string(b), s)
}

func containsFold(b []byte, s string) bool {
	for at := 0; at+len(s) <= len(b); at++ {
		if fold(b[at:at+len(s)], s) {
			return true
		}
	}
	return false
}

// trimTag removes the quotes and the weakness mark of an HTTP entity tag.
func trimTag(b []byte) []byte {
	return bytes.Trim(bytes.TrimPrefix(b, []byte("W/")), `"`)
}
