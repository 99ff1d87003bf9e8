// SPDX-License-Identifier: Apache-2.0

package native

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/url"
	"strconv"
	"time"

	"github.com/s3populator/s3populator/mover/engine"
)

// emptySHA256 is the digest of a request without a body.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// Services that requests are signed for. S3 Express has a header of its own for the token of a session.
const (
	serviceS3      = "s3"
	serviceExpress = "s3express"
)

// query is what one request is for.
type query struct {
	method string // GET or HEAD.
	task   *engine.Task
	// part is what is asked of the object; all of it where whole is set.
	part      engine.Range
	whole     bool
	checksums bool
	// unconditional leaves it to check to compare the entity tag.
	unconditional bool
}

// composer writes requests into buffers that it keeps. Each connection has one.
type composer struct {
	bucket  *url.URL
	region  string
	service string
	payer   bool
	signing *signing
	mac     hash.Hash // Of signing.key.
	sum     hash.Hash
	second  int64  // The second that stamp is of.
	stamp   string // 20060102T150405Z.
	path    []byte
	query   []byte
	text    []byte // What is signed.
	out     []byte
	digest  []byte
}

func newComposer(e *Engine) *composer {
	return &composer{
		bucket: e.config.Bucket, region: e.config.Region, service: e.config.Service,
		payer: e.config.RequestPayer, sum: sha256.New(),
	}
}

// compose returns the request as it is sent. It is valid until the next one is composed.
func (c *composer) compose(q query, s *signing, now time.Time) []byte {
	c.target(q)
	c.out = append(append(append(c.out[:0], q.method...), ' '), c.path...)
	if len(c.query) > 0 {
		c.out = append(append(c.out, '?'), c.query...)
	}
	c.out = append(append(c.out, " HTTP/1.1\r\nHost: "...), c.bucket.Host...)
	c.out = append(c.out, "\r\nUser-Agent: s3populator\r\nAccept-Encoding: identity\r\n"...)
	if q.task.ETag != "" && !q.unconditional {
		c.out = append(append(append(c.out, `If-Match: "`...), q.task.ETag...), "\"\r\n"...)
	}
	if !q.whole {
		c.out = append(c.appendRange(append(c.out, "Range: "...), q.part), "\r\n"...)
	}
	c.out = c.authorize(c.out, q, s, now)
	c.out = append(c.out, "\r\n"...)
	return c.out
}

func (*composer) appendRange(b []byte, r engine.Range) []byte {
	b = strconv.AppendInt(append(b, "bytes="...), r.Offset, 10)
	return strconv.AppendInt(append(b, '-'), r.End()-1, 10)
}

// target encodes the path and the query of the object.
func (c *composer) target(q query) {
	c.path = append(c.path[:0], c.bucket.EscapedPath()...)
	c.path = appendEncoded(append(c.path, '/'), q.task.Key, true)
	c.query = c.query[:0]
	if q.task.Version != "" {
		c.query = appendEncoded(append(c.query, "versionId="...), q.task.Version, false)
	}
}

// appendEncoded encodes as S3 wants it signed: everything but unreserved characters, and
// slashes where they separate.
func appendEncoded(b []byte, s string, slashes bool) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		switch ch := s[i]; {
		case ch >= 'a' && ch <= 'z', ch >= 'A' && ch <= 'Z', ch >= '0' && ch <= '9',
			ch == '-', ch == '.', ch == '_', ch == '~', ch == '/' && slashes:
			b = append(b, ch)
		default:
			b = append(b, '%', digits[ch>>4], digits[ch&15])
		}
	}
	return b
}

// header is one that is signed; they are sorted by name.
type header struct{ name, value string }

// signed are the headers of S3 that a request has; all of them are signed, as AWS demands.
func (c *composer) signed(q query, s *signing) (list [6]header, n int) {
	add := func(name, value string) {
		list[n] = header{name, value}
		n++
	}
	if q.checksums {
		add("x-amz-checksum-mode", "ENABLED")
	}
	if s.keys.Access != "" {
		add("x-amz-content-sha256", emptySHA256)
		add("x-amz-date", c.stamp)
	}
	if c.payer {
		add("x-amz-request-payer", "requester")
	}
	switch {
	case s.keys.Session == "":
	case c.service == serviceExpress:
		add("x-amz-s3session-token", s.keys.Session)
	default:
		add("x-amz-security-token", s.keys.Session)
	}
	return list, n
}

// authorize adds the headers of S3 and the signature over them; none for anonymous requests.
func (c *composer) authorize(b []byte, q query, s *signing, now time.Time) []byte {
	c.setTime(now, s.day)
	list, n := c.signed(q, s)
	for _, h := range list[:n] {
		b = append(append(append(append(b, h.name...), ": "...), h.value...), "\r\n"...)
	}
	if s.keys.Access == "" {
		return b
	}
	b = append(append(b, "Authorization: AWS4-HMAC-SHA256 Credential="...), s.keys.Access...)
	b = append(c.appendScope(append(b, '/'), s), ", SignedHeaders="...)
	b = append(appendNames(b, list[:n]), ", Signature="...)
	return append(hex.AppendEncode(b, c.signature(q, s, list[:n])), "\r\n"...)
}

func (c *composer) appendScope(b []byte, s *signing) []byte {
	b = append(append(append(b, s.day...), '/'), c.region...)
	return append(append(append(b, '/'), c.service...), "/aws4_request"...)
}

func appendNames(b []byte, list []header) []byte {
	b = append(b, "host"...)
	for _, h := range list {
		b = append(append(b, ';'), h.name...)
	}
	return b
}

// signature of the request that target was called for.
func (c *composer) signature(q query, s *signing, list []header) []byte {
	t := append(append(append(c.text[:0], q.method...), '\n'), c.path...)
	t = append(append(append(t, '\n'), c.query...), "\nhost:"...)
	t = append(append(t, c.bucket.Host...), '\n')
	for _, h := range list {
		t = append(append(append(append(t, h.name...), ':'), h.value...), '\n')
	}
	t = append(append(appendNames(append(t, '\n'), list), '\n'), emptySHA256...)
	c.sum.Reset()
	c.sum.Write(t)
	c.digest = c.sum.Sum(c.digest[:0])
	t = append(append(append(t[:0], "AWS4-HMAC-SHA256\n"...), c.stamp...), '\n')
	t = hex.AppendEncode(append(c.appendScope(t, s), '\n'), c.digest)
	if c.signing != s {
		c.signing, c.mac = s, hmac.New(sha256.New, s.key)
	}
	c.mac.Reset()
	c.mac.Write(t)
	c.text = t
	c.digest = c.mac.Sum(c.digest[:0])
	return c.digest
}

// setTime keeps within the day of the key: a request that was given its key a moment before
// midnight is made a moment before it, or S3 would refuse the signature. A clock may go back, too.
func (c *composer) setTime(now time.Time, day string) {
	if second := now.Unix(); second != c.second || c.stamp == "" {
		c.second, c.stamp = second, now.UTC().Format("20060102T150405Z")
	}
	switch of := c.stamp[:len(day)]; {
	case of > day:
		c.second, c.stamp = 0, day+"T235959Z"
	case of < day:
		c.second, c.stamp = 0, day+"T000000Z"
	}
}
