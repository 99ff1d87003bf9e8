// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// loadDevice fills a Block volume.
func (m *mover) loadDevice(ctx context.Context) (*ledger.Ledger, error) {
	if err := m.listing.list(ctx, nil); err != nil {
		return nil, err
	}
	if err := m.listing.refuseEmpty(ctx); err != nil {
		return nil, err
	}
	return m.fillDevice(ctx)
}

// loadVolume fills a Filesystem volume: it looks whether the volume is empty or
// ours, proves that it can be written, lists, keeps what an earlier attempt left in good order, checks the
// room, transfers, and ends with a volume that holds the plan and nothing else.
func (m *mover) loadVolume(ctx context.Context) (*ledger.Ledger, error) {
	if problem := plan.CheckTarget(m.request.Volume.TargetPath); problem != "" {
		return nil, fault.New(
			wire.MoverBroken,
			"spec.targetPath %s cannot be used: %s",
			plan.Quote(m.request.Volume.TargetPath),
			problem,
		)
	}
	v, err := volume.Open(m.options.Paths.Volume, m.request.Volume.TargetPath)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	t := m.transferTo(v)
	err = t.enter(ctx)
	switch {
	case err != nil:
	case t.whole:
		t.log.printf("the volume is complete: an earlier mover has filled it")
	default:
		err = guarded(ctx, t.checkpointEvery, t.journal.Owned, t.load)
	}
	if err := t.ended(err); err != nil {
		return nil, err
	}
	return t.ledger, nil
}

// ended closes the journal. Where something has failed it asks first whose the volume is by now: what guards it looks
// every few seconds, and a volume that another claim has too must not go with this one, whatever ended its mover.
func (t *transfer) ended(err error) error {
	if t.journal == nil {
		return err
	}
	defer t.journal.Close()
	if err == nil {
		return nil
	}
	return orLost(err, t.journal.Owned())
}

// orLost is what a mover failed for, or that it has lost its volume, which explains whatever else it failed for.
func orLost(err, owned error) error {
	told, _ := errors.AsType[*fault.Failure](err)
	lost, isLost := errors.AsType[*fault.Failure](owned)
	if !isLost || told != nil && told.Shared {
		return err
	}
	return lost.Because(err)
}

// load brings a volume whose journal is ours in line with its source.
func (t *transfer) load(ctx context.Context) error {
	if err := t.prepare(ctx); err != nil {
		return t.takeBack(ctx, err)
	}
	if err := t.fill(ctx); err != nil {
		return err
	}
	return t.finish(ctx)
}

// guarded ends work soon after a volume is not this mover's any more: to list, to read back what an
// attempt before has left, and to look at all of it in the end may take hours.
func guarded(
	ctx context.Context, every time.Duration, owned func() error, work func(context.Context) error,
) error {
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	guarding, unguard := context.WithCancel(ctx)
	var guard sync.WaitGroup
	defer guard.Wait()
	defer unguard()
	guard.Go(func() { ledger.Guard(guarding, every, owned, stop) })
	err := work(working)
	if why := context.Cause(working); why != nil && errors.Is(err, context.Canceled) { // Not all that ends says why.
		return why
	}
	return err
}

func (m *mover) transferTo(v *volume.Volume) *transfer {
	return &transfer{
		request:         m.request,
		header:          m.header(),
		checkpointEvery: m.options.CheckpointEvery,
		faults:          m.faults,
		source:          m.source,
		uploads:         m.uploadSetup(),
		log:             m.log,
		progress:        m.progress,
		status:          &m.status,
		listing:         m.listing,
		fetcher:         m.fetcher,
		rounds:          m.newRounds(),
		volume:          v,
	}
}

func (m *mover) newRounds() *rounds {
	return &rounds{
		faults:  m.faults,
		source:  m.source,
		listing: m.listing,
		fetcher: m.fetcher,
		log:     m.log,
		pause:   m.options.RoundPause,
	}
}

// prepare leaves nothing to do but to fetch what is not on the volume.
func (t *transfer) prepare(ctx context.Context) error {
	if err := t.makePlan(ctx); err != nil {
		return err
	}
	if err := t.reopen(ctx); err != nil {
		return err
	}
	if err := t.resume(ctx); err != nil {
		return err
	}
	return t.checkRoom()
}

// makePlan lists the source, once.
func (t *transfer) makePlan(ctx context.Context) error {
	if t.ledger != nil {
		return nil
	}
	seen, unseen := t.seeManifest(ctx)
	if err := t.listEarly(ctx); err != nil {
		return err // Said better here than of a HEAD.
	}
	if unseen != nil {
		return unseen
	}
	if err := t.listing.refuseEmpty(ctx); err != nil {
		return err
	}
	if err := t.readManifest(ctx, seen); err != nil {
		return err
	}
	t.ledger = ledger.New(t.plan)
	t.progress.ledger.Store(t.ledger)
	return nil
}

func (t *transfer) checkRoom() error {
	r, err := volume.ReadRoom(t.volume, t.plan, t.dirs, t.ledger.Present)
	if err != nil {
		return err
	}
	return r.Check()
}

// fill makes the directories and transfers, with checkpoints on the side. What guards a transfer looks for the
// first time some seconds after it began, and by now another mover may have completed the volume.
func (t *transfer) fill(ctx context.Context) error {
	if err := t.journal.Owned(); err != nil {
		return err
	}
	for i := range t.plan.Entries.Len() {
		if t.plan.Entries.IsDir(i) {
			path := t.plan.Entries.At(i).Path
			if err := t.volume.Data.MkdirAll(path[:len(path)-1], volume.DirMode); err != nil {
				return fmt.Errorf("make directory %s: %w", plan.Quote(path), err)
			}
			t.ledger.Verified(i, proof.ByExistence, plan.Identity{}, true)
		}
	}
	t.progress.enter(wire.Transferring)
	t.fetcher.effort.begin()
	defer t.fetcher.effort.transferred()
	return t.saving(ctx, t.run)
}

// saving notes what becomes verified in the journal while work goes on, and once more when it
// fails: what is verified must not be fetched or compared again by the next attempt.
func (t *transfer) saving(ctx context.Context, work func(context.Context) error) error {
	k := &ledger.Checkpointer{
		Volume:     t.volume,
		Ledger:     t.ledger,
		Journal:    t.journal,
		Every:      t.checkpointEvery,
		Progressed: func() { t.status.progressed.Store(true) },
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	kept := make(chan error, 1)
	keeping, endKeeping := context.WithCancel(ctx)
	go func() { kept <- k.Run(keeping, stop) }()
	err := work(ctx)
	endKeeping()
	if keepErr := <-kept; keepErr != nil {
		return orReadOnly(keepErr, err)
	}
	if err != nil || t.volume.EachFile { // The last sync of all would not reach what is left.
		return errors.Join(err, k.Checkpoint())
	}
	return nil
}

// orReadOnly is what a checkpoint failed for, or that the file system has become read-only, as work was told meanwhile:
// the error of the device that a sync meets does not say that nothing can be written any more. Whose the volume is
// explains more.
func orReadOnly(checkpoint, work error) error {
	if fault.ReasonOf(checkpoint) == "" && fault.IsReadOnly(work) {
		return errors.Join(work, checkpoint)
	}
	return checkpoint
}

// finish proves the volume as a whole and makes it durable.
func (t *transfer) finish(ctx context.Context) error {
	t.progress.enter(wire.Verifying)
	if err := t.listing.confirm(ctx, t.ledger); err != nil {
		return err
	}
	others, err := t.lastSweep(ctx, t.ledger.IsFile)
	if err != nil {
		return err
	}
	if len(others) > 0 {
		if err := t.checkOthers(ctx, others); err != nil {
			return err
		}
		// Nothing of ours writes any more. A number of an inode that is new again says nothing.
		if others, err = t.lastSweep(ctx, t.ledger.IsAlike); err != nil {
			return err
		}
	}
	if len(others) > 0 {
		return t.replaced(others[0])
	}
	return t.complete(ctx)
}

// lastSweep removes what is not planned, and returns the entries under whose path another file
// is than the one that was verified, as same tells.
func (t *transfer) lastSweep(
	ctx context.Context,
	same func(i int, file plan.Identity) bool,
) (others []int, err error) {
	seen := make([]bool, t.plan.Entries.Len()) // Of a directory that tells a name twice, it is one file.
	s := volume.Sweep{Volume: t.volume, Owned: t.journal.Owned, Plan: t.plan, Keep: func(i int, stat *unix.Stat_t) bool {
		ok := t.ledger.IsVerified(i) && stat.Size == t.plan.Entries.Size(i)
		seen[i] = seen[i] || ok
		if ok && !same(i, plan.IdentityOf(stat)) {
			others = append(others, i)
		}
		return ok
	}}
	if err := s.Run(ctx); err != nil {
		return nil, err
	}
	return others, t.missing(seen)
}

// missing names a file that was verified and is not found under its name. On a file system that is
// blind to case, or that spells names in its own way, two keys may share one, or one may have another.
func (t *transfer) missing(seen []bool) error {
	for i := range seen {
		if !seen[i] && !t.plan.Entries.IsDir(i) {
			return fault.New(
				wire.VerificationFailed,
				"%s is not on the volume under that name after the transfer; does something else write to the volume, "+
					"or does its file system not tell upper from lower case?",
				plan.Quote(t.plan.Entries.At(i).Path),
			)
		}
	}
	return nil
}

// checkOthers compares files that took the place of verified ones. What cannot be compared by
// content is not believed, unless spec.transfer.verify asks for no more than sizes, or nothing but
// the number of its inode is another.
func (t *transfer) checkOthers(ctx context.Context, others []int) error {
	alike := make([]bool, len(others))
	for n, i := range others {
		stat, err := t.volume.Stat(t.plan.Entries.At(i).Path)
		alike[n] = err == nil && t.ledger.IsAlike(i, plan.IdentityOf(&stat))
		t.ledger.Doubt(i)
	}
	failed := make([]error, len(others))
	source.Parallel(runtime.GOMAXPROCS(0), len(others), func(n int) {
		if ctx.Err() == nil {
			failed[n] = t.checkOther(ctx, others[n], alike[n] || t.prover.SizeOnly)
		}
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return cmp.Or(failed...)
}

func (t *transfer) checkOther(ctx context.Context, i int, sizeIsEnough bool) error {
	by, file, err := t.compare(ctx, i)
	if err == nil {
		err = t.volume.SyncFile(t.plan.Entries.At(i).Path)
	}
	unknown := err == nil && by == proof.BySize && !sizeIsEnough
	if unknown || errors.Is(err, fault.ErrDiffers) || errors.Is(err, errNotThere) {
		return t.replaced(i)
	}
	if err == nil {
		t.ledger.Verified(i, by, file, false)
	}
	return err
}

func (t *transfer) replaced(i int) error {
	return fault.New(
		wire.VerificationFailed,
		"%s was replaced by another file after it was verified; does something else write to the volume?",
		plan.Quote(t.plan.Entries.At(i).Path),
	)
}

func (t *transfer) setOwners(ctx context.Context) error {
	if t.request.Files == (wire.Files{}) {
		return nil
	}
	if err := t.journal.Owned(); err != nil {
		return err
	}
	return t.volume.SetOwners(ctx, t.plan, t.request.Files)
}

// complete makes everything durable, then removes the journal, then makes that durable. So
// a volume without a journal is either untouched or complete.
func (t *transfer) complete(ctx context.Context) error {
	if err := t.volume.SyncNames(ctx); err != nil {
		return err
	}
	if err := t.restoreAttributes(ctx); err != nil {
		return err
	}
	if err := t.setOwners(ctx); err != nil {
		return err
	}
	t.progress.enter(wire.Syncing)
	start := time.Now() //nolint:forbidigo // Only ever subtracted from.
	if err := t.volume.Sync(); err != nil {
		return errors.Join(err, t.journal.Distrust())
	}
	t.fetcher.effort.synced = time.Since(start)
	if err := t.journal.Owned(); err != nil {
		return err
	}
	if err := t.journal.Remove(); err != nil {
		return err //nolint:wrapcheck // It says what failed.
	}
	if err := errors.Join(t.volume.SyncRoot(), t.volume.Sync()); err != nil {
		return err
	}
	took, alone := time.Since(start).Seconds(), t.volume.Alone.Load()
	t.log.printf("synced in %.1f s, %d files and directories by themselves", took, alone)
	return nil
}
