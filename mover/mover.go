// SPDX-License-Identifier: Apache-2.0

// Package mover loads a volume from S3: it lists the source, refuses what no
// volume can hold, checks the room, has an engine transfer the bytes, compares every
// file with its object, and makes the volume durable before it says so. An Import
// does so for files of a volume that is in use. An Export goes the other way, and
// only reads the volume.
//
// It believes no exit code: the volume is compared with the listing. It knows
// nothing of Kubernetes beyond the paths that a pod mounts, decides nothing
// about retries between attempts, and shows no secret to anything but mc's
// configuration file and the signer of S3 requests.
package mover

import (
	"context"
	"errors"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/engine/mc"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/restore"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/upload"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// Paths are where a mover finds what its pod mounts.
type Paths struct {
	Volume        string
	Device        string
	Scratch       string
	Credentials   string
	CABundles     string
	ProgressToken string
	IdentityToken string
}

// DefaultPaths are those of a mover pod.
func DefaultPaths() Paths {
	return Paths{
		Volume:        wire.VolumePath,
		Device:        wire.DevicePath,
		Scratch:       wire.ScratchPath,
		Credentials:   wire.CredentialsPath,
		CABundles:     wire.CABundlesPath,
		ProgressToken: wire.ProgressToken,
		IdentityToken: wire.IdentityToken,
	}
}

// Options are what a mover needs besides its request. Only Getenv, Log
// and PodUID have no default.
type Options struct {
	Paths  Paths
	MC     string // The mc binary; /mc in the image.
	Getenv func(string) string
	Log    io.Writer // One line per milestone, for people.
	// PodUID tells the movers of one claim apart; it must be set to populate.
	PodUID string
	// MCMemory is a soft limit for the heap of one mc in bytes; 0 for none.
	MCMemory int64
	// Memory in bytes is what buffers of the engine of our own may take together; 0 is as much as is of use.
	Memory int64
	// IdleTimeout is how long mc may read and write nothing before it is killed.
	IdleTimeout time.Duration
	// AnswerTimeout is how long S3 may take to begin an answer to what the mover itself asks; 0 is a minute.
	AnswerTimeout time.Duration
	// CheckpointEvery is how often verified files are made durable, where syncs do not take long.
	CheckpointEvery time.Duration
	// RoundPause is how long the second round waits; the third waits twice as long.
	RoundPause time.Duration
}

func (o *Options) complete() {
	if o.Paths == (Paths{}) {
		o.Paths = DefaultPaths()
	}
	if o.MC == "" {
		o.MC = "/mc"
	}
	if o.IdleTimeout == 0 {
		// Longer than a busy disk holds up writers, shorter than mc's own ten minutes.
		o.IdleTimeout = 2 * time.Minute
	}
	if o.CheckpointEvery == 0 {
		o.CheckpointEvery = 2 * time.Second
	}
	if o.RoundPause == 0 {
		o.RoundPause = time.Second
	}
}

// mover is one attempt.
type mover struct {
	request  wire.Request
	options  Options
	faults   fault.Classifier
	start    time.Time
	log      *logger
	source   *source.Client
	progress *progress
	listing  *listing
	fetcher  *fetcher
	status   status
	// exported is what an Export came to.
	exported upload.Result
	// pruned is what a Prune came to.
	pruned upload.Pruned
	// imported is what an Import came to; nil before it has begun.
	imported *imported
}

// status is how far an attempt has come.
type status struct {
	// progressed is set once the journal knows more than any attempt before this one left in it.
	progressed atomic.Bool
	// began is set once the volume was found empty or ours and carries our journal.
	began atomic.Bool
	// held is set once the volume was found to hold what nobody has proven to be ours.
	held atomic.Bool
	// arrived is what a Block volume holds that is not complete.
	arrived *wire.Arrived
	// restored is what became of the attributes that a population restores.
	restored *restore.Result
}

// Run makes one attempt and reports on it. It ends early, with what is verified
// kept for the next attempt, when the context is cancelled.
func Run(ctx context.Context, r wire.Request, o Options) (report wire.Report) {
	o.complete()
	m := newMover(r, o)
	defer func() {
		if p := recover(); p != nil {
			m.log.printf("panic: %v\n%s", p, debug.Stack())
			report = wire.Report{
				Class:   wire.Retry,
				Reason:  wire.MoverBroken,
				Message: "the mover crashed, which is a bug; see its log",
			}
		}
		report.Seconds = time.Since(m.start).Seconds()
	}()
	return m.report(m.run(ctx))
}

// newMover has nothing to read a source or a volume with; see connect.
func newMover(r wire.Request, o Options) *mover {
	return &mover{
		request: r,
		options: o,
		faults:  newClassifier(r, o),
		start:   time.Now(), //nolint:forbidigo // Only ever subtracted from.
		log:     &logger{to: o.Log},
		listing: &listing{},
		fetcher: &fetcher{},
	}
}

func newClassifier(r wire.Request, o Options) fault.Classifier {
	return fault.Classifier{
		Source:      r.Source,
		Credentials: r.Credentials,
		Uploads:     slices.Contains([]wire.Operation{wire.Export, wire.Abort, wire.Prune}, r.Operation),
		Roots:       []string{o.Paths.Volume, mc.Alias + "/" + r.Source.Bucket},
	}
}

func (m *mover) run(ctx context.Context) (*ledger.Ledger, error) {
	if err := m.refuseUnknown(); err != nil {
		return nil, err
	}
	if err := m.connect(); err != nil {
		return nil, err
	}
	defer m.fetcher.close()
	stop := m.progress.background(ctx)
	defer stop()
	switch m.request.Operation {
	case wire.Inventory:
		return nil, m.listing.list(ctx, nil)
	case wire.Export:
		return nil, m.export(ctx)
	case wire.Abort:
		return nil, m.abort(ctx)
	case wire.Prune:
		return nil, m.prune(ctx)
	case wire.Import:
		return m.importFiles(ctx)
	case wire.Populate:
	}
	if !wire.IsUID(m.options.PodUID) {
		return nil, fault.New(
			wire.MoverBroken,
			"the variable %s holds %q, which is not the UID of this pod; use the same version of "+
				"manager and mover",
			wire.PodUIDVariable,
			m.options.PodUID,
		)
	}
	unix.Umask(volume.Umask)
	if m.request.Volume.Mode == wire.Block {
		return m.loadDevice(ctx)
	}
	return m.loadVolume(ctx)
}

// refuseUnknown ends a mover that is asked for what it cannot do, before anything is read or
// written: what is exported must never be taken for a volume to fill.
func (m *mover) refuseUnknown() error {
	switch {
	case m.request.Policy.RestoreAttributes && m.request.Operation == wire.Populate:
		return refuseRestore(m.request)
	case m.request.Operation == wire.Import:
		return refuseImport(m.request)
	case !slices.Contains([]wire.Operation{
		wire.Inventory, wire.Populate, wire.Export, wire.Abort, wire.Prune,
	}, m.request.Operation):
		return fault.New(wire.MoverBroken, "unknown operation %q", m.request.Operation)
	}
	return nil
}

// connect reads everything that is mounted and makes the client, and what needs it. Nothing is
// sent yet.
func (m *mover) connect() error {
	var err error
	if m.progress, err = newProgress(m.request.Progress, m.options.Paths.ProgressToken); err != nil {
		return err
	}
	p := m.options.Paths
	m.source, err = source.Connect(m.request, m.faults, source.Mounts{
		Credentials:   p.Credentials,
		CABundles:     p.CABundles,
		IdentityToken: p.IdentityToken,
	}, m.options.Getenv, m.options.AnswerTimeout)
	m.log.source = m.source
	if err != nil {
		return err
	}
	m.listing = &listing{
		request:  m.request,
		faults:   m.faults,
		source:   m.source,
		uploads:  m.uploadSetup(),
		progress: m.progress,
		log:      m.log,
		start:    m.start,
	}
	m.fetcher = &fetcher{
		request:     m.request,
		idleTimeout: m.options.IdleTimeout,
		memory:      m.options.Memory,
		source:      m.source,
		listing:     m.listing,
		progress:    m.progress,
		mc:          m.newMC(),
	}
	return nil
}

func (m *mover) newMC() *mc.Client {
	return mc.New(mc.Setup{
		Binary:      m.options.MC,
		Scratch:     m.options.Paths.Scratch,
		Memory:      m.options.MCMemory,
		Bucket:      m.request.Source.Bucket,
		Addressing:  m.request.Source.Addressing,
		Insecure:    m.request.TLS.InsecureSkipVerify,
		Source:      m.source,
		Getenv:      m.options.Getenv,
		IdleTimeout: m.options.IdleTimeout,
	})
}

// report turns the outcome into the last word.
func (m *mover) report(l *ledger.Ledger, err error) wire.Report {
	r := wire.Report{
		Class:        wire.Done,
		FetchedBytes: m.fetcher.fetched.Load(),
		Progressed:   m.status.progressed.Load(),
		Began:        m.status.began.Load(),
	}
	if m.request.Operation == wire.Populate || m.request.Operation == wire.Import {
		r.Engine = engineName(m.request)
	}
	p := m.listing.plan
	if p != nil {
		r.Objects, r.Bytes, r.SkippedKeys = int64(p.Entries.Len()), p.Bytes, p.Skipped
	}
	switch {
	case m.request.Operation == wire.Prune:
		m.reportPrune(&r)
	case m.faults.Uploads:
		m.reportExport(&r)
	}
	if m.imported != nil {
		r.UnchangedObjects, r.RemovedFiles = m.imported.unchanged, m.imported.removed
	}
	if err != nil {
		f := m.faults.Classify(err)
		r.Class, r.Reason, r.Message = fault.ClassAfter(f.Reason, r.Progressed), f.Reason, m.source.Scrub(f.Message)
		r.RequiredBytes, r.Held, r.Shared = f.RequiredBytes, m.status.held.Load() && !r.Began, f.Shared
		r.Arrived = m.status.arrived
		m.log.printf("failed: %s: %s", r.Reason, r.Message)
		if cause := errors.Unwrap(f); cause != nil {
			m.log.printf("cause: %s", strings.ReplaceAll(cause.Error(), "\n", "; "))
		}
		return r
	}
	if p != nil {
		r.ManifestDigest = p.Digest()
	}
	if l != nil {
		by := l.ByMethod()
		r.SizeOnlyObjects = by[proof.BySize]
		r.Message = "verified " + proof.Summary(by) + m.status.restoreSummary() + m.imported.summary()
		r.Bottleneck = m.fetcher.effort.bottleneck(m.fetcher.own, r.FetchedBytes, m.request.Transfer.BytesPerSecond)
	}
	m.log.printf("done: %d objects, %d bytes, %s", r.Objects, r.Bytes, r.Message)
	return r
}

func (m *mover) header() plan.Header {
	return plan.Header{Claim: m.request.Volume.ClaimUID, Pod: m.options.PodUID, Request: plan.SourceIdentity(m.request)}
}
