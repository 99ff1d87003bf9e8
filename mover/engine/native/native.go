// SPDX-License-Identifier: Apache-2.0

// Package native fetches objects with requests of its own: prebuilt, signed with a key that
// is made once a day, on connections that are kept and each have one buffer for request,
// answer and body. Small objects take one request and one write. Large ones are fetched in
// ranges, many at a time, whose sums are combined. Every request is If-Match of the entity
// tag that was listed, where S3 understands that, and every answer is compared with its
// request before a byte of it is written.
package native

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/s3populator/s3populator/mover/engine"
)

// Bounds of what an engine does at a time, measured on two cores with the server on them.
const (
	leastConnections = 4
	firstConnections = 12
	mostConnections  = 64
	// fixedConnections is how many there may be where somebody has said how many.
	fixedConnections = 256
	// largeConnections is how many fetch ranges of large objects: more do not fill a disk or
	// a network any better, and leave more holes to a kill.
	largeConnections = 12
	// partConnections is the same where each brings a part whose MD5 is computed beside the others'.
	partConnections = md5Lanes
	// largeObjects are in progress at a time.
	largeObjects = 4
	// LargeSize in bytes is from where on an object is fetched in ranges.
	LargeSize = 32 << 20
	// rangeSize in bytes is what one request fetches of a large object, at offsets that are
	// multiples of it.
	rangeSize = 16 << 20
	// bufferSize in bytes of a connection.
	bufferSize = 256 << 10
)

// Config is what an engine is told. Only Bucket, Region and Keys have no default.
type Config struct {
	// Bucket is the URL of the bucket, to which a slash and a key are added: with the bucket
	// as its path, or in its host.
	Bucket *url.URL
	// Region that requests are signed for.
	Region string
	// Service that requests are signed for; empty is s3.
	Service string
	// Keys gives the keys of this moment; it is asked once a second at most.
	Keys func(context.Context) (Keys, error)
	// Expired is told the access key of keys that S3 takes for expired, before Keys is asked
	// again; nil is that nobody wants to know.
	Expired func(accessKey string)
	// TLS says whom to trust; nil is the system's choice.
	TLS *tls.Config
	// Proxy for a URL, as in net/http; nil is none. Requests through a proxy are net/http's.
	Proxy func(*http.Request) (*url.URL, error)
	// Dial opens connections; nil is a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// RequestPayer accepts the costs of requests to a bucket that is Requester Pays.
	RequestPayer bool
	// Connections is how many are open at a time, 256 at most, and not more than Memory has room for; 0 follows what
	// they bring.
	Connections int
	// BytesPerSecond that all connections read together; 0 is no limit.
	BytesPerSecond int64
	// PartSize finds out the size of the parts of a large object, for Task.PartSize, where S3
	// has no better sum; nil and 0 leave it unknown.
	PartSize func(context.Context, engine.Task) (int64, error)
	// SkipSums computes no sum, for a policy that compares sizes.
	SkipSums bool
	// Idle is how long nothing may be sent on a connection that waits for an answer.
	Idle time.Duration
	// Memory in bytes is what buffers may take together, about; 0 is as much as is of use.
	Memory int64
	// Pause before a request is made again the first time; it doubles.
	Pause time.Duration
}

// Engine implements engine.Engine.
type Engine struct {
	config Config
	signer signer
	limit  *rate.Limiter // nil: none.
	// plain is set once requests have to be net/http's, because of a proxy or of answers
	// without a length.
	plain atomic.Bool
	// noRanges is set once the server ignored one: large objects then come whole.
	noRanges atomic.Bool
	// hollow objects come whole, too.
	hollow hollow
	// noChecksums is set once the server refused a request that asks for them.
	noChecksums atomic.Bool
	// noConditions is set once the server refused an entity tag that its answers name: they are
	// compared all the same.
	noConditions atomic.Bool
	client       *http.Client
	spent        spent
	room         room
}

var _ engine.Engine = (*Engine)(nil)

// New makes an engine. Nothing is sent yet.
func New(c Config) *Engine {
	if c.Dial == nil {
		const dialTimeout = 5 * time.Second
		c.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext
	}
	c.Service = cmp.Or(c.Service, serviceS3)
	if c.Idle == 0 {
		c.Idle = 2 * time.Minute
	}
	if c.Pause == 0 {
		c.Pause = 100 * time.Millisecond
	}
	e := &Engine{config: c, room: roomIn(c.Memory)}
	e.signer.init(c)
	if c.BytesPerSecond > 0 {
		e.limit = rate.NewLimiter(rate.Limit(c.BytesPerSecond), bufferSize)
		now := time.Now() //nolint:forbidigo // Only for the limiter, which begins with nothing saved up.
		e.limit.AllowN(now, bufferSize)
	}
	e.client = &http.Client{
		Transport: &http.Transport{
			Proxy: c.Proxy, DialContext: c.Dial, TLSClientConfig: c.TLS, TLSHandshakeTimeout: handshakeTimeout,
			MaxIdleConnsPerHost: mostConnections, DisableCompression: true, IdleConnTimeout: time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	e.plain.Store(e.proxied())
	return e
}

// proxied tells whether there is a proxy for the bucket; one that cannot be told is asked
// for by net/http again, which says why.
func (e *Engine) proxied() bool {
	if e.config.Proxy == nil {
		return false
	}
	proxy, err := e.config.Proxy(&http.Request{URL: e.config.Bucket})
	return err != nil || proxy != nil
}

// Close closes what is kept open.
func (e *Engine) Close() { e.client.CloseIdleConnections() }
