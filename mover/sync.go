// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"time"

	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/volume"
)

// checkpointer makes verified files durable while others are still on their way.
type checkpointer struct {
	volume  *volume.Volume
	ledger  *ledger
	journal *journal
	every   time.Duration
	// progressed is called when the journal has learnt what no attempt before had left in it.
	progressed func()
}

// run checkpoints until the context ends. A sync may hold up writers, so a
// slow device is given four times as long as its last one took.
func (k *checkpointer) run(ctx context.Context) error {
	timer := time.NewTimer(k.every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case start := <-timer.C:
			if err := k.checkpoint(); err != nil {
				return err
			}
			timer.Reset(max(k.every, 4*time.Since(start)))
		}
	}
}

// checkpoint syncs the volume and then notes in the journal what was verified
// before, and how much of large files had arrived. When the device refuses data, the files in question are removed:
// read again they might come from memory and look sound.
func (k *checkpointer) checkpoint() error {
	if err := k.journal.owned(); err != nil {
		return err
	}
	pending, parts := k.ledger.takePending(), k.ledger.partial.due()
	if len(pending) == 0 && len(parts) == 0 {
		return nil
	}
	lines := make([]journalled, 0, len(pending)+len(parts))
	for _, i := range pending {
		if l, ok := k.describe(int(i)); ok {
			lines = append(lines, l)
		}
	}
	if err := k.volume.Sync(); err != nil {
		k.journal.distrust()
		for _, i := range pending {
			_ = k.volume.Data.Remove(k.ledger.plan.Entries[i].Path)
		}
		return err
	}
	for i, n := range parts {
		e := k.ledger.plan.Entries[i]
		lines = append(lines, journalled{path: e.Path, size: n, by: plan.Unverified, etag: k.ledger.plan.TagText(e.ETag)})
	}
	if err := k.journal.add(lines); err != nil {
		return err
	}
	if len(lines) > len(parts) || k.ledger.partial.beyond(parts) {
		k.progressed()
	}
	k.ledger.partial.note(parts)
	return nil
}

func (k *checkpointer) describe(i int) (journalled, bool) {
	e := k.ledger.plan.Entries[i]
	stat, err := k.volume.Stat(e.Path)
	if err != nil || stat.Size != e.Size || !k.ledger.isVerified(i) {
		return journalled{}, false
	}
	return journalled{
		path:  e.Path,
		size:  e.Size,
		mtime: stat.Mtim.Nano(),
		by:    k.ledger.method(i),
		etag:  k.ledger.plan.TagText(e.ETag),
	}, true
}
