// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"

	"github.com/s3populator/s3populator/mover/restore"
)

// reopen makes what an attempt had restored before it was interrupted accessible again. What another restore than the
// one that is asked for now has begun with is no beginning of this one: the volume is filled anew.
func (t *transfer) reopen(ctx context.Context) error {
	which, begun := t.journal.Restoring()
	if t.attributes == nil && !begun {
		return nil
	}
	if err := restore.Loosen(ctx, t.volume, t.journal.Owned); err != nil {
		return err //nolint:wrapcheck // It says what failed.
	}
	if !begun || t.attributes != nil && which == t.attributes.Identity() {
		return nil
	}
	return t.fillAnew(ctx)
}

// fillAnew removes everything. Of a file or directory nobody knows any more what it had before something was restored:
// whose it was, whether its group was inherited, and what another mover has changed of it. Nothing may be left of the
// lines of the journal before nothing is left of the files, and of those before the mark is gone.
func (t *transfer) fillAnew(ctx context.Context) error {
	t.log.printf("what was restored on the volume is not what is asked for now: all of it is fetched anew")
	if err := t.journal.Owned(); err != nil {
		return err
	}
	if err := t.journal.Forget(); err != nil {
		return err //nolint:wrapcheck // It says what failed.
	}
	if err := t.volume.Empty(ctx, t.journal.Owned); err != nil {
		return err //nolint:wrapcheck // The volume says what failed.
	}
	if err := errors.Join(t.volume.SyncNames(ctx), t.volume.Sync()); err != nil {
		return err
	}
	if err := t.journal.Owned(); err != nil { // To sync may take as long as another mover needs to set a mark of its own.
		return err
	}
	return t.journal.Unrestored()
}

// restoreAttributes comes after the last look at the files, because it changes their times.
func (t *transfer) restoreAttributes(ctx context.Context) error {
	if t.attributes == nil {
		return nil
	}
	if err := t.journal.Owned(); err != nil {
		return err
	}
	r, err := t.attributes.Run(ctx, t.journal.Owned, t.beginRestore)
	t.status.restored = &r
	return err
}

// beginRestore notes what is about to be restored.
func (t *transfer) beginRestore() error {
	if err := t.journal.Owned(); err != nil {
		return err
	}
	return t.journal.Restores(t.attributes.Identity())
}
