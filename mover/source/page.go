// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// pages reads every page of a listing as a whole and takes nothing else for one. A client takes any
// document for a page, and one that names no successor for the last: the error that a server sends
// with status 200, or what a proxy says instead of S3, would end a listing, and what comes behind it
// would never be loaded.
type pages struct {
	http.RoundTripper

	where string // The endpoint, for people.

	mu    sync.Mutex
	token string // Of the page that came last; empty for the first one of a listing.
}

// mostPage bounds what is read of a page in bytes: a thousand keys of 1 KiB, each byte escaped to
// six, take less than a quarter of it.
const mostPage = 32 << 20

// What asking again does not change.
var (
	// errLongPage means that a page has more than mostPage bytes.
	errLongPage = errors.New("a page of the listing is too long")
	// errSamePage means that a page names itself, or an earlier one, as the next.
	errSamePage = errors.New("the listing does not end")
)

// RoundTrip implements http.RoundTripper.
func (p *pages) RoundTrip(r *http.Request) (*http.Response, error) {
	query := r.URL.Query()
	if r.Method != http.MethodGet || !query.Has("list-type") {
		return p.RoundTripper.RoundTrip(r) //nolint:wrapcheck // It is handed through.
	}
	token := query.Get("continuation-token")
	if token != "" && token == p.last() {
		return nil, repeated(p.where)
	}
	answer, text, err := p.read(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusOK {
		if err := p.judge(answer, text, token); err != nil {
			return nil, err
		}
		if answer.StatusCode == http.StatusOK {
			text = lean(text)
		}
	}
	answer.Body = io.NopCloser(bytes.NewReader(text))
	return answer, nil
}

// read reads a whole answer: it may break off, or say nothing any more.
func (p *pages) read(r *http.Request) (*http.Response, []byte, error) {
	ctx, stop := context.WithCancelCause(r.Context())
	defer stop(nil)
	answer, err := p.RoundTripper.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // It is handed through.
	}
	idle := time.AfterFunc(responseTimeout, func() {
		stop(fmt.Errorf("%w for %s", fault.ErrStalled, responseTimeout))
	})
	defer idle.Stop()
	text, err := io.ReadAll(io.LimitReader(noticed{answer.Body, idle}, mostPage+1))
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, nil, err
	}
	if len(text) > mostPage {
		return nil, nil, fault.New(
			wire.TransferFailed,
			"%s answers a listing with a page of more than %d MiB, which S3 does not; is there a proxy "+
				"between, or is spec.endpoint no S3 server?",
			p.where,
			mostPage>>20,
		).Because(errLongPage)
	}
	return answer, text, nil
}

// noticed puts the end of a wait off with every byte that comes.
type noticed struct {
	io.Reader

	idle *time.Timer
}

func (n noticed) Read(b []byte) (int, error) {
	read, err := n.Reader.Read(b)
	if read > 0 {
		n.idle.Reset(responseTimeout)
	}
	return read, err //nolint:wrapcheck // It is handed through.
}

// judge tells a page from anything else. An error is given the status that it should have had, so
// that it is read as one.
func (p *pages) judge(answer *http.Response, text []byte, token string) error {
	switch name := outermost(text); {
	case strings.HasPrefix(name, "List"): // S3 writes ListBucketResult.
		p.mu.Lock()
		p.token = token
		p.mu.Unlock()
	case name == "Error":
		answer.StatusCode = http.StatusInternalServerError
		answer.Status = http.StatusText(answer.StatusCode)
	default:
		return fault.New(
			wire.TransferFailed,
			"%s answers a listing with status 200 and a document <%.40s>, which is none; is there a proxy "+
				"between, or is spec.endpoint no S3 server?",
			p.where,
			name,
		)
	}
	return nil
}

func (p *pages) last() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.token
}

// outermost is the name of the element that a document consists of; empty where it is no XML.
func outermost(text []byte) string {
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.Token()
		if err != nil {
			return ""
		}
		if start, ok := token.(xml.StartElement); ok {
			return start.Name.Local
		}
	}
}

// cycle notices keys that come again and again, in the memory of one: of each power of two, the key
// at that place is kept until the next.
type cycle struct {
	mark     string
	at, next int64
}

// closed takes the next key. It is true once a key comes that came before, after at most twice as
// many as came until then and in one round.
func (c *cycle) closed(key string) bool {
	if c.at > 0 && key == c.mark {
		return true
	}
	if c.at >= c.next {
		c.mark, c.next = key, 2*c.at+1
	}
	c.at++
	return false
}

func repeated(where string) error {
	return fault.New(wire.TransferFailed, "%s lists the same objects again and again, so that the listing never ends; "+
		"this is a fault of the server", where).Because(errSamePage)
}
