// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/engine/mc"
	"github.com/s3populator/s3populator/mover/engine/native"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/wire"
)

// fetcher reads the bytes of objects, by the engine that the request names, and counts them.
type fetcher struct {
	request     wire.Request
	idleTimeout time.Duration
	memory      int64 // For buffers, in bytes.
	source      *source.Client
	listing     *listing
	progress    *progress
	mc          *mc.Client
	own         *native.Engine // Made once it is needed.
	fetched     atomic.Int64   // Bytes read from S3.
	// effort is what the time of the transfer went into.
	effort effort
}

// engineName is who moves the bytes. Auto is Native; of an Import, mc knows nothing.
func engineName(r wire.Request) string {
	if r.Transfer.Engine == wire.EngineMC && r.Operation != wire.Import {
		return wire.EngineMC
	}
	return wire.EngineNative
}

// isNative tells that no mc is to run.
func (f *fetcher) isNative() bool { return engineName(f.request) == wire.EngineNative }

// native is the engine that asks S3 with requests of its own. The region is known.
func (f *fetcher) native(ctx context.Context) (*native.Engine, error) {
	if f.own != nil {
		return f.own, nil
	}
	bucket, err := f.source.BucketURL(ctx)
	if err != nil {
		return nil, err
	}
	transport := f.source.NewTransport()
	f.own = native.New(native.Config{
		Bucket:         bucket,
		Region:         f.source.SigningRegion(),
		Service:        f.source.SigningService(),
		Keys:           f.nativeKeys,
		Expired:        f.source.Identities.Expire,
		TLS:            transport.TLSClientConfig,
		Proxy:          transport.Proxy,
		Dial:           transport.DialContext,
		RequestPayer:   f.request.Source.RequestPayer,
		Connections:    f.request.Transfer.Parallelism,
		BytesPerSecond: f.request.Transfer.BytesPerSecond,
		PartSize:       f.nativePartSize,
		SkipSums:       sizeOnly(f.request),
		Idle:           f.idleTimeout,
		Memory:         f.memory,
	})
	return f.own, nil
}

func (f *fetcher) close() {
	if f.own != nil {
		f.own.Close()
	}
	f.mc.Close()
}

func (f *fetcher) nativeKeys(ctx context.Context) (native.Keys, error) {
	id, err := f.source.SigningIdentity(ctx)
	if err != nil {
		return native.Keys{}, err
	}
	return native.Keys{Access: id.AccessKey, Secret: id.SecretKey.Reveal(), Session: id.SessionToken.Reveal()}, nil
}

// nativePartSize is asked about large multipart objects that S3 has no checksum of.
func (f *fetcher) nativePartSize(ctx context.Context, t engine.Task) (int64, error) {
	return f.listing.prover.PartSize(ctx, f.listing.plan.Entries.At(t.Index))
}

// expire has mc sign with other keys. The engine of our own knows what it has signed with.
func (f *fetcher) expire() {
	if !f.isNative() {
		f.mc.Expire()
	}
}

// streams is how many mc processes run at a time. One of them transfers one
// object at a time and waits for S3 half of it, so there are more than cores.
func (f *fetcher) streams() int {
	if n := f.request.Transfer.Parallelism; n > 0 {
		return min(n, 64)
	}
	return min(max(2*runtime.NumCPU(), 4), 16)
}

// bandwidth is one of so many equal parts of what the request allows, in bytes per second; 0 is no
// limit.
func (f *fetcher) bandwidth(share int) int64 {
	n := f.request.Transfer.BytesPerSecond
	if n <= 0 {
		return 0
	}
	return max(n/int64(share), 1)
}

// pump copies a pipe to a file and digests what passes.
func (f *fetcher) pump(to io.Writer, d *proof.Digester, r io.Reader) error {
	buffer, _ := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buffer)
	total := int64(0)
	defer func() { f.progress.inFlight.Add(-total) }()
	for {
		n, err := r.Read(*buffer)
		if n > 0 {
			if err := f.effort.write(to, (*buffer)[:n]); err != nil {
				return fmt.Errorf("write to the volume: %w", err)
			}
			_, _ = d.Write((*buffer)[:n])
			total += int64(n)
			f.progress.inFlight.Add(int64(n))
			f.fetched.Add(int64(n))
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the object: %w", err)
		}
	}
}

// wrote counts bytes of the engine of our own that were written, or taken back.
func (f *fetcher) wrote(n int64) {
	f.progress.inFlight.Add(n)
	f.fetched.Add(max(n, 0))
}

// copyBuffers hold one piece of an object each; 256 KiB keeps the number of system calls low
// and the memory of a dozen workers in single megabytes.
var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}
