// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"slices"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/engine/native"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/wire"
)

// engineName is who moves the bytes. Auto is Native; of an Import, mc knows nothing.
func (m *mover) engineName() string {
	if m.request.Transfer.Engine == wire.EngineMC && m.request.Operation != wire.Import {
		return wire.EngineMC
	}
	return wire.EngineNative
}

// isNative tells that no mc is to run.
func (m *mover) isNative() bool { return m.engineName() == wire.EngineNative }

// ownEngine is the engine that asks S3 with requests of its own. The region is known.
func (m *mover) ownEngine(ctx context.Context) (*native.Engine, error) {
	if m.native != nil {
		return m.native, nil
	}
	bucket, err := m.source.BucketURL(ctx)
	if err != nil {
		return nil, err
	}
	transport := m.source.NewTransport()
	m.native = native.New(native.Config{
		Bucket:         bucket,
		Region:         m.source.SigningRegion(),
		Service:        m.source.SigningService(),
		Keys:           m.nativeKeys,
		Expired:        m.source.Identities.Expire,
		TLS:            transport.TLSClientConfig,
		Proxy:          transport.Proxy,
		Dial:           transport.DialContext,
		RequestPayer:   m.request.Source.RequestPayer,
		Connections:    m.request.Transfer.Parallelism,
		BytesPerSecond: m.request.Transfer.BytesPerSecond,
		PartSize:       m.nativePartSize,
		SkipSums:       m.sizeOnly(),
		Idle:           m.options.IdleTimeout,
	})
	return m.native, nil
}

func (m *mover) closeNative() {
	if m.native != nil {
		m.native.Close()
	}
}

func (m *mover) nativeKeys(ctx context.Context) (native.Keys, error) {
	id, err := m.source.SigningIdentity(ctx)
	if err != nil {
		return native.Keys{}, err
	}
	return native.Keys{Access: id.AccessKey, Secret: id.SecretKey.Reveal(), Session: id.SessionToken.Reveal()}, nil
}

// nativePartSize is asked about large multipart objects that S3 has no checksum of.
func (m *mover) nativePartSize(ctx context.Context, t engine.Task) (int64, error) {
	return m.prover.PartSize(ctx, m.plan.Entries[t.Index])
}

// task is what an engine is told of an entry of the plan.
func (m *mover) task(i int) engine.Task {
	e := m.plan.Entries[i]
	return engine.Task{
		Index: i, Key: e.Key, Version: m.source.Version(e.Key), Path: e.Path,
		ETag: m.plan.TagText(e.ETag), Size: e.Size,
	}
}

// explainNative makes failures of the engine's own errors.
func (m *mover) explainNative(i int, err error) error {
	key := m.plan.Entries[i].Key
	switch {
	case errors.Is(err, engine.ErrOtherTag):
		return fault.New(
			wire.SourceChanged,
			"object %s comes with another entity tag than it was listed with: it was overwritten while the volume was "+
				"loaded; if nobody writes to it, S3 contradicts itself: set spec.transfer.engine: MC, which compares contents",
			plan.Quote(key),
		).Because(err)
	case errors.Is(err, engine.ErrChanged):
		return fault.New(
			wire.SourceChanged,
			"object %s was overwritten or deleted while the volume was loaded",
			plan.Quote(key),
		).Because(err)
	case errors.Is(err, engine.ErrOtherVersion):
		return m.source.OtherVersion(key, m.source.Version(key))
	}
	return err
}

// wroteNative counts bytes that were written, or taken back.
func (m *mover) wroteNative(n int64) {
	m.progress.inFlight.Add(n)
	m.fetched.Add(max(n, 0))
}

// fetchNative is fetch with the engine of our own.
func (t *transfer) fetchNative(ctx context.Context, todo []int) error {
	e, err := t.ownEngine(ctx)
	if err != nil {
		return err
	}
	t.forgetWhatNobodyVouchesFor(ctx, todo)
	tasks := func(yield func(engine.Task) bool) {
		for _, i := range todo {
			task := t.task(i)
			task.Present = t.ledger.Partial.Ranges(i)
			if !yield(task) {
				return
			}
		}
	}
	sink := &nativeSink{transfer: t, ctx: ctx}
	return e.Fetch(ctx, tasks, &nativeTarget{volume: t.volume, journal: t.journal}, sink)
}

// forgetWhatNobodyVouchesFor drops what has arrived of large objects whose bytes cannot be compared in
// the end: all of them have to come in one go.
func (t *transfer) forgetWhatNobodyVouchesFor(ctx context.Context, todo []int) {
	begun := slices.DeleteFunc(slices.Clone(todo), func(i int) bool { return t.ledger.Partial.Bytes(i) == 0 })
	source.Parallel(source.StatWorkers, len(begun), func(n int) {
		want, err := t.prover.Expect(ctx, t.plan.Entries[begun[n]])
		if err == nil && want.Method == proof.BySize {
			t.ledger.Partial.Drop(begun[n])
		}
	})
}
