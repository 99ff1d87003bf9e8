// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// bring makes the directories and fetches what is not verified, until every path has a verified file: others
// may replace one at any time.
func (t *importing) bring(ctx context.Context) error {
	if err := t.makeDirectories(); err != nil {
		return err
	}
	t.progress.enter(wire.Transferring)
	t.fetcher.effort.begin()
	defer t.fetcher.effort.transferred()
	for same, look := t.ledger.IsFile, 1; ; same, look = t.ledger.IsAlike, look+1 {
		if err := t.rounds.run(ctx, t.ledger, t.rounds.begin, t.fetchBeside); err != nil {
			return err
		}
		others, err := t.replacedByOthers(ctx, same)
		if err != nil || len(others) == 0 {
			return err
		}
		if look >= maxRounds {
			return t.contested(others)
		}
		t.log.printf("%d files are others than those that were verified, as someone writes to the volume", len(others))
		if err := t.compareThere(ctx, others); err != nil {
			return err
		}
		t.progress.enter(wire.Transferring)
	}
}

func (t *importing) makeDirectories() error {
	if err := t.inUse.MakeDirectory(t.target()); err != nil {
		return t.explainVolume(t.target(), err)
	}
	for i, e := range t.plan.Entries.All() {
		if e.IsDir() {
			if err := t.inUse.MakeDirectory(t.at(i)); err != nil {
				return t.explainVolume(t.at(i), err)
			}
			t.ledger.Verified(i, proof.ByExistence, plan.Identity{}, true)
		}
	}
	return nil
}

// replacedByOthers are entries under whose path another file is than the one that was verified, or none.
func (t *importing) replacedByOthers(ctx context.Context, same func(i int, file plan.Identity) bool) ([]int, error) {
	var others []int
	for i, e := range t.plan.Entries.All() {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		stat, err := t.inUse.Stat(t.at(i))
		if err == nil {
			err = isPlace(t.at(i), e, stat.Mode)
		}
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, t.explainVolume(t.at(i), err)
		case err == nil && (e.IsDir() || same(i, plan.IdentityOf(&stat))):
			continue
		case e.IsDir():
			err = t.inUse.MakeDirectory(t.at(i))
			if err != nil {
				return nil, t.explainVolume(t.at(i), err)
			}
			continue
		}
		t.ledger.Doubt(i)
		others = append(others, i)
	}
	return others, nil
}

// contested ends an attempt. It is no progress: the same would be brought again and again.
func (t *importing) contested(others []int) error {
	t.status.progressed.Store(false)
	return fault.New(
		wire.VerificationFailed,
		"%d files were replaced or changed %d times after they were verified, the first is %s; what else writes to them? "+
			"Stop that, or leave them out with spec.exclude",
		len(others), maxRounds, plan.Quote(t.at(others[0])),
	)
}

// settle makes everything durable, and then removes what the source does not have.
func (t *importing) settle(ctx context.Context) error {
	t.progress.enter(wire.Verifying)
	if err := t.listing.confirm(ctx, t.ledger); err != nil {
		return err
	}
	t.progress.enter(wire.Syncing)
	t.touchAll()
	if err := t.inUse.Sync(); err != nil {
		return t.explainVolume(t.target(), err)
	}
	t.log.printf("synced %d directories by themselves", t.inUse.Alone.Load())
	if !t.request.Import.DeleteExtra {
		return nil
	}
	if err := t.removeExtra(ctx); err != nil {
		return err
	}
	// A file system that spells names in its own way could have shown one of ours under another.
	others, err := t.replacedByOthers(ctx, t.ledger.IsAlike)
	if err != nil {
		return err
	}
	if len(others) > 0 {
		return t.contested(others)
	}
	return t.explainVolume(t.target(), t.inUse.Sync())
}

// touchAll has every directory of the plan synced where that has to be done for each: an attempt before this one may
// have renamed files into it, and ended before that.
func (t *importing) touchAll() {
	if !t.inUse.EachFile {
		return
	}
	t.inUse.Touch(t.target())
	t.plan.EachDir(func(dir string) { t.inUse.Touch(t.below(dir)) })
}

func (t *importing) removeExtra(ctx context.Context) error {
	filter, err := plan.NewFilter(t.request.Source)
	if err != nil {
		return err
	}
	verified := make(volume.FileSet, t.plan.Entries.Len())
	for i, e := range t.plan.Entries.All() {
		if stat, err := t.inUse.Stat(t.at(i)); err == nil && !e.IsDir() {
			verified.Add(&stat)
		}
	}
	x := volume.Extra{
		Volume:   t.inUse,
		Dir:      t.target(),
		Plan:     t.plan,
		Filter:   filter,
		Start:    plan.NameStart(t.request.Source),
		Verified: verified,
		Before:   dayAgo(),
	}
	err = x.Run(ctx)
	t.imported.removed = x.Removed
	return t.explainVolume(t.target(), err)
}

// fetchBeside brings files to temporary names, and renames those that are verified.
func (t *importing) fetchBeside(ctx context.Context, todo []int) error {
	e, err := t.fetcher.native(ctx)
	if err != nil {
		return err
	}
	defer t.inUse.DiscardAll()
	tasks := func(yield func(engine.Task) bool) {
		for _, i := range todo {
			if !yield(t.listing.task(i)) {
				return
			}
		}
	}
	return e.Fetch(ctx, tasks, importTarget{t}, &importSink{importing: t, ctx: ctx})
}

// importTarget makes temporary files.
type importTarget struct{ importing *importing }

// Create implements engine.Target.
func (t importTarget) Create(task engine.Task) (engine.File, error) {
	name := t.importing.at(task.Index)
	staged, err := t.importing.inUse.Stage(name)
	if err != nil {
		return nil, t.importing.explainVolume(name, err)
	}
	f := &importFile{importing: t.importing, staged: staged, index: task.Index, name: name}
	f.file = staged.File
	if task.Size >= preallocateFrom {
		if err := preallocate(staged.File, task); err != nil {
			staged.Discard()
			return nil, t.importing.explainVolume(name, err)
		}
	}
	return f, nil
}

// importFile is a temporary file that is written.
type importFile struct {
	nativeFile

	importing *importing
	staged    *volume.Staged
	index     int
	name      string
}

func (f *importFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := f.nativeFile.WriteAt(p, at)
	return n, f.importing.explainVolume(f.name, err)
}

// Commit keeps the file open: what is judged is renamed, and no other file of that name.
func (f *importFile) Commit() (engine.Identity, error) {
	file, err := f.staged.Identity()
	if err != nil {
		f.staged.Discard()
		return file, f.importing.explainVolume(f.name, err)
	}
	f.importing.mu.Lock()
	defer f.importing.mu.Unlock()
	f.importing.staged[f.index] = f.staged
	return file, nil
}

func (f *importFile) Abandon() { f.staged.Discard() }

// take hands out a file that was written.
func (t *importing) take(i int) *volume.Staged {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.staged[i]
	delete(t.staged, i)
	return s
}

// importSink judges what an engine hands back, and puts what is proven into its place.
type importSink struct {
	importing *importing
	ctx       context.Context //nolint:containedctx // Of the one call of Fetch that this sink is for.
}

// Arrived implements engine.Sink.
func (s *importSink) Arrived(e engine.Evidence) {
	t, i := s.importing, e.Index
	defer t.progress.inFlight.Add(-e.Fetched)
	staged := t.take(i)
	by, file, err := t.prove(s.ctx, e, staged)
	if err == nil {
		file, err = staged.Publish(file)
		err = t.explainVolume(t.at(i), err)
	}
	if err != nil {
		staged.Discard()
		t.ledger.Fail(i, err)
		return
	}
	t.ledger.Verified(i, by, file, true)
	if by != proof.BySize { // The next attempt could not tell, and would fetch it again.
		t.status.progressed.Store(true)
	}
}

// prove says by which method a file is its object, and which file that is. Others could have written to it since its
// last byte came: then its time is another, and it is read back. Its size proves nothing then.
func (t *importing) prove(
	ctx context.Context,
	e engine.Evidence,
	staged *volume.Staged,
) (by proof.Method, file plan.Identity, err error) {
	compare := func() (proof.Method, error) {
		if _, err := staged.File.Seek(0, io.SeekStart); err != nil {
			return proof.Unverified, err //nolint:wrapcheck // A file that was written can be read.
		}
		return t.prover.Compare(ctx, staged.File, t.plan.Entries.At(e.Index), t.prover.Expect)
	}
	if by, err = t.listing.judge(ctx, e, compare); err != nil {
		return by, file, err
	}
	if err := staged.File.Sync(); err != nil {
		return by, file, t.explainVolume(t.at(e.Index), err)
	}
	if file, err = staged.Identity(); err == nil && file != e.File {
		if by, err = compare(); err == nil && by == proof.BySize {
			err = fault.ErrDiffers
		}
	}
	return by, file, err
}

// Failed implements engine.Sink.
func (s *importSink) Failed(i int, err error) error {
	t := s.importing
	err = t.listing.explainNative(i, err)
	t.ledger.Fail(i, err)
	return t.rounds.trouble(err)
}

// Wrote implements engine.Sink.
func (s *importSink) Wrote(_ int, n int64) { s.importing.fetcher.wrote(n) }

// Grew implements engine.Sink. An import goes on with no file of an attempt before it.
func (s *importSink) Grew(int, engine.Range, uint64) {}
