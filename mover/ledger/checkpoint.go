// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/plan"
)

// Volume are those below the target directory of a volume.
type Volume interface {
	// Sync writes all of the volume to its device.
	Sync() error
	// SyncFile writes one file to its device, where Sync does not.
	SyncFile(name string) error
	// Stat describes a file without following a link.
	Stat(name string) (unix.Stat_t, error)
	Remove(name string) error
}

// Checkpointer makes verified files durable while others are still on their way.
type Checkpointer struct {
	Volume  Volume
	Ledger  *Ledger
	Journal *Journal
	Every   time.Duration
	// Progressed is called when the journal has learnt what no attempt before had left in it.
	Progressed func()
}

// Run checkpoints until the context ends, and stops what is going on as soon as something fails.
func (k *Checkpointer) Run(ctx context.Context, stop context.CancelCauseFunc) error {
	var guard sync.WaitGroup
	defer guard.Wait()
	ctx, end := context.WithCancel(ctx)
	defer end()
	guard.Go(func() { Guard(ctx, k.Every, k.Journal.Owned, stop) })
	err := k.checkpoints(ctx)
	if err != nil {
		stop(err)
	}
	return err
}

// longestPause is for devices on which a sync takes long. What arrives in a pause is fetched again after a crash.
// There is no bound in bytes: whoever loads fast loses more of them, and has them back as fast.
const longestPause = 30 * time.Second

// pause is how long the next checkpoint waits after one that took so long. A sync may hold up writers, so a slow
// device is given four times as long.
func pause(every, took time.Duration) time.Duration {
	return max(every, min(4*took, longestPause))
}

// checkpoints makes one after the other.
func (k *Checkpointer) checkpoints(ctx context.Context) error {
	timer := time.NewTimer(k.Every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case start := <-timer.C:
			if err := k.Checkpoint(); err != nil {
				return err
			}
			timer.Reset(pause(k.Every, time.Since(start)))
		}
	}
}

// Guard stops what is going on when a volume is not this mover's any more. It does not wait for a
// sync: another mover may complete the volume before that ends.
func Guard(ctx context.Context, every time.Duration, owned func() error, stop context.CancelCauseFunc) {
	tick := time.NewTicker(max(every, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := owned(); err != nil {
				stop(err)
				return
			}
		}
	}
}

// Checkpoint syncs the volume and then notes in the journal what was verified
// before, and how much of large files had arrived. When the device refuses data, the files in question are removed:
// read again they might come from memory and look sound. A sync may hang for as long as it takes
// another mover to load the volume anew: its files are not removed.
func (k *Checkpointer) Checkpoint() error {
	if err := k.Journal.Owned(); err != nil {
		return err
	}
	pending, parts := k.Ledger.takePending(), k.Ledger.Partial.due()
	if len(pending) == 0 && len(parts) == 0 {
		return nil
	}
	verified := k.found(pending)
	if err := k.sync(pending, parts); err != nil {
		err = errors.Join(err, k.Journal.Distrust())
		if lost := k.Journal.Owned(); lost != nil {
			return errors.Join(lost, err)
		}
		for _, i := range pending {
			_ = k.Volume.Remove(k.Ledger.Plan.Entries.At(int(i)).Path)
		}
		return err
	}
	if err := k.note(verified, parts); err != nil {
		return err
	}
	if len(verified) > 0 || k.Ledger.Partial.beyond(parts) {
		k.Progressed()
	}
	k.Ledger.Partial.Note(parts)
	return nil
}

// sync writes what was verified and what has arrived to the device.
func (k *Checkpointer) sync(pending []int32, parts map[int]Extents) error {
	if err := k.Volume.Sync(); err != nil {
		return err
	}
	for _, i := range pending {
		if err := k.syncFile(int(i)); err != nil {
			return err
		}
	}
	for i := range parts {
		if err := k.syncFile(i); err != nil {
			return err
		}
	}
	return nil
}

// syncFile leaves a file alone that is not there any more: it has no line in the journal.
func (k *Checkpointer) syncFile(i int) error {
	e := k.Ledger.Plan.Entries.At(i)
	if e.IsDir() {
		return nil
	}
	if err := k.Volume.SyncFile(e.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// part describes a range of a large file.
func (l *Ledger) part(i int, r plan.Range) Line {
	e := l.Plan.Entries.At(i)
	return Line{Path: e.Path, Offset: r.Offset, Size: r.Length, By: plan.Unverified, ETag: l.Plan.TagText(e.ETag)}
}

// Grew records that a range of a large file is written, and notes it in a journal together with its
// sum, without a sync: a mover that comes after a kill compares both. Where that cannot be noted, the
// range comes again.
func (l *Ledger) Grew(j *Journal, i int, r plan.Range, crc uint64) {
	l.Partial.Grew(i, r)
	line := l.part(i, r)
	line.Sum, line.Summed = crc, true
	_, _ = j.file.Write(line.Line())
}
