// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"
	"fmt"
	"strings"

	"github.com/s3populator/s3populator/mover/engine"
)

// line carries one request at a time and its answer.
type line interface {
	// ask sends a request and reads the head of its answer.
	ask(ctx context.Context, q query, s *signing) (*answer, error)
	// next returns the next bytes of the body, at least one, and as many as fit into the
	// buffer unless the body ends before. They are valid until the next call. The end is
	// io.EOF, and io.ErrUnexpectedEOF where it comes before the length that was told.
	next() ([]byte, error)
	// swap exchanges the buffer that next has returned bytes of.
	swap(spare []byte) []byte
	// done ends the exchange. What is left of a body makes the connection useless.
	done()
	close()
}

// errorBody bounds what is read of an answer that is an error.
const errorBody = 64 << 10

// readError reads what S3 says in an answer that is an error.
func readError(l line, a *answer, bucket string, q query) error {
	var body []byte
	for q.method != "HEAD" && len(body) < errorBody {
		more, err := l.next()
		body = append(body, more...)
		if err != nil {
			break
		}
	}
	l.done()
	return refusal(a, body, bucket, q.task.Key)
}

// check compares the head of a good answer with its request.
func (a *answer) check(q query, ranges *bool) error { //nolint:gocyclo // One line for each part of the head.
	t := q.task
	named := t.ETag != "" && len(a.etag) > 0
	if named && !a.hasTag(t.ETag) {
		return fmt.Errorf("%w: %.80q instead of %.80q", engine.ErrOtherTag, a.etag, t.ETag)
	}
	if t.Version != "" && string(a.version) != t.Version && (t.Version != "null" || len(a.version) > 0) {
		return engine.ErrOtherVersion
	}
	a.pinned = named || t.Version != "" && string(a.version) == t.Version
	switch {
	case q.whole:
		return a.checkWhole(t)
	case a.status != 206:
		*ranges = false
		return answerf("a range was asked for and the status is %d", a.status)
	case a.part.Length == 0:
		*ranges = false
		return answerf("a range was asked for and the answer does not say which one comes")
	}
	return a.checkRange(q)
}

// hasTag tells whether an answer names an entity tag. A digest is the same in either case.
func (a *answer) hasTag(tag string) bool {
	if string(a.etag) == tag {
		return true
	}
	digest, _, _ := strings.Cut(tag, "-")
	return isDigest(strings.ToLower(digest)) && fold(a.etag, tag)
}

func (a *answer) checkRange(q query) error {
	if a.part != q.part {
		return answerf(
			"range %d-%d was asked for and range %d-%d comes",
			q.part.Offset,
			q.part.End()-1,
			a.part.Offset,
			a.part.End()-1,
		)
	}
	if a.total >= 0 && a.total != q.task.Size {
		return engine.ErrChanged
	}
	if a.length >= 0 && a.length != q.part.Length {
		return answerf("a range of %d bytes was asked for and %d come", q.part.Length, a.length)
	}
	return nil
}

func (a *answer) checkWhole(t *engine.Task) error {
	if a.status == 204 && t.Size == 0 {
		return nil
	}
	if a.status != 200 {
		return answerf("all of the object was asked for and the status is %d", a.status)
	}
	if a.length >= 0 && a.length != t.Size {
		return answerf("the object was listed with %d bytes and %d come", t.Size, a.length)
	}
	return nil
}
