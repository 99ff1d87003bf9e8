// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// remains are what an earlier attempt left, by entry.
type remains struct {
	plan       *plan.Plan
	ledger     *ledger.Ledger
	proven     map[int]provenFile
	fresh      bool // No attempt before this one has left anything.
	keepRanges func(ctx context.Context, i int, b *begunFile) error

	kept     []keptFile         // By entry: what the journal says was verified; nil as long as it says nothing.
	begun    map[int]*begunFile // Large files of which something had arrived.
	furthest map[int]int64      // The most bytes of them that any attempt had made durable.
	doubtful []int              // Files of the right size that nobody vouches for.
}

// begunFile is what the journal says of a large file that is on its way.
type begunFile struct {
	durable ledger.Extents
	last    int64         // Offset of the last range that was noted as durable.
	blocks  []summedRange // Ranges that were not synced: there is one for every few MiB.
}

// keptFile is what a line of the journal says beyond the plan, in little memory. Without a
// method there is no such line.
type keptFile struct {
	modTime int64
	by      proof.Method
}

// resume reads the journal, removes everything that is neither journalled nor
// worth a look, and verifies the rest. After it, every file on the volume is a
// verified one, which mc may skip by its size, or the beginning of a large one.
func (t *transfer) resume(ctx context.Context) error {
	r := t.remains()
	if err := t.journal.Replay(r.read); err != nil {
		return err
	}
	t.ledger.Partial.Inherit(r.furthest)
	refused := t.syncBlocks(r)
	s := volume.Sweep{Volume: t.volume, Owned: t.journal.Owned, Plan: t.plan, Keep: r.keeper(ctx)}
	if err := s.Run(ctx); err != nil {
		return err
	}
	if err := t.journal.Owned(); err != nil { // To keep is not to say why something was not kept.
		return err
	}
	t.dirs = s.Dirs
	if err := t.recheck(ctx, r.doubtful, refused); err != nil {
		return err
	}
	if objects, bytes := t.ledger.Totals(); objects > 0 || s.Removed > 0 {
		t.log.printf("resuming: %d files, %d bytes are already verified; %d leftovers removed", objects, bytes, s.Removed)
	}
	return nil
}

func (t *transfer) remains() *remains {
	return &remains{
		plan:       t.plan,
		ledger:     t.ledger,
		proven:     t.proven,
		fresh:      t.empty,
		keepRanges: t.keepRanges,
		begun:      make(map[int]*begunFile),
		furthest:   make(map[int]int64),
	}
}

// syncBlocks makes durable what was written and not synced, so that the device itself can be asked
// for it. Where the device has refused data, then or before, none of that is believed.
func (t *transfer) syncBlocks(r *remains) error {
	some := false
	for _, b := range r.begun {
		some = some || len(b.blocks) > 0
	}
	if !some {
		return nil
	}
	err := t.volume.Sync()
	if err != nil || t.journal.Distrusted() {
		for _, b := range r.begun {
			b.blocks = nil
		}
	}
	return err //nolint:wrapcheck // The volume says what failed.
}

// read takes a line of the journal that is about an object as it is listed now. Without an entity
// tag nobody can tell that it is.
func (r *remains) read(l ledger.Line) {
	i, ok := r.plan.Find(l.Path)
	if !ok || l.ETag == "" || r.plan.TagText(r.plan.Entries.At(i).ETag) != l.ETag {
		return
	}
	size := r.plan.Entries.Size(i)
	switch {
	case l.By == proof.Unverified && size >= plan.LargeSize && isPart(l, size): // Small files come again.
		r.readRange(i, l)
	case l.By > proof.Unverified && l.By < proof.ByExistence && l.Size == size:
		if r.kept == nil {
			r.kept = make([]keptFile, r.plan.Entries.Len())
		}
		r.kept[i] = keptFile{modTime: l.ModTime, by: l.By}
	}
}

// noted is what the journal says of a file; nothing has no method.
func (r *remains) noted(i int) keptFile {
	if r.kept == nil {
		return keptFile{}
	}
	return r.kept[i]
}

// isPart tells that a line is about some of the bytes of an object, and not all.
func isPart(l ledger.Line, size int64) bool {
	return l.Size > 0 && l.Size < size && l.Offset >= 0 && l.Offset <= size-l.Size
}

// readRange takes a line about part of a large file. Ranges that are durable are noted together and
// in order: one that is not behind the last one begins a new list.
func (r *remains) readRange(i int, l ledger.Line) {
	b := r.begun[i]
	if b == nil {
		b = &begunFile{}
		r.begun[i] = b
	}
	if l.Summed {
		b.blocks = append(b.blocks, summedRange{plan.Range{Offset: l.Offset, Length: l.Size}, l.Sum})
		return
	}
	if l.Offset <= b.last {
		b.durable = nil
	}
	b.last = l.Offset
	b.durable = b.durable.With(plan.Range{Offset: l.Offset, Length: l.Size})
	r.furthest[i] = max(r.furthest[i], b.durable.Bytes())
}

// keeper judges planned files that are on the volume, until the context ends: then the sweep ends, too,
// and removes none.
func (r *remains) keeper(ctx context.Context) func(int, *unix.Stat_t) bool {
	return func(i int, stat *unix.Stat_t) bool { return r.keep(ctx, i, stat) }
}

func (r *remains) keep(ctx context.Context, i int, stat *unix.Stat_t) bool {
	if stat.Size != r.plan.Entries.Size(i) {
		return false
	}
	if l := r.noted(i); l.by != proof.Unverified && l.modTime == stat.Mtim.Nano() {
		r.ledger.Verified(i, l.by, plan.IdentityOf(stat), true)
		return true
	}
	p, proven := r.proven[i]
	if proven && p.file == plan.IdentityOf(stat) {
		r.ledger.Verified(i, p.by, p.file, false)
		return true
	}
	if r.fresh && !proven { // It came early, and was cut off, or the device refused some of it.
		return false
	}
	if b, ok := r.begun[i]; ok && r.keepRanges(ctx, i, b) == nil {
		return true
	}
	r.doubtful = append(r.doubtful, i)
	return true
}

// recheck compares files that are there without being in the journal. Whatever
// cannot be compared by content is removed: its size proves nothing. So is all
// of them when the device has refused data, because memory may still hold it.
func (t *transfer) recheck(ctx context.Context, list []int, refused error) error {
	t.progress.enter(wire.Verifying)
	refused = errors.Join(refused, t.volume.Sync())
	if refused != nil {
		refused = errors.Join(refused, t.journal.Distrust())
	}
	if !t.journal.Distrusted() && len(list) > 0 {
		err := t.saving(ctx, func(ctx context.Context) error { return t.compareAll(ctx, list) })
		if err != nil {
			return err
		}
	}
	for _, i := range list {
		if !t.ledger.IsVerified(i) {
			if err := t.journal.Owned(); err != nil {
				return err
			}
			if err := t.volume.Data.Remove(t.plan.Entries.At(i).Path); err != nil {
				return fmt.Errorf("remove %s: %w", plan.Quote(t.plan.Entries.At(i).Path), fault.NotWritable(err))
			}
		}
	}
	if refused != nil {
		return refused
	}
	return t.journal.Trust()
}

// compareAll verifies those files of a list that have the content of their objects.
func (t *transfer) compareAll(ctx context.Context, list []int) error {
	source.Parallel(source.StatWorkers, len(list), func(n int) {
		if ctx.Err() != nil {
			return
		}
		if by, file, err := t.compareCold(ctx, list[n], t.prover.Expect); err == nil && by != proof.BySize {
			t.ledger.Verified(list[n], by, file, false)
		}
	})
	return context.Cause(ctx)
}
