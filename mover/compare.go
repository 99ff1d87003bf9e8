// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
)

// errNotThere means that a file did not arrive.
var errNotThere = errors.New("the file did not arrive on the volume")

// check compares one file on the volume with its object and records the
// result. Nothing is transferred and nothing is removed.
func (t *transfer) check(ctx context.Context, i int) {
	by, file, err := t.compare(ctx, i)
	if err != nil {
		t.ledger.Fail(i, err)
		return
	}
	t.ledger.Verified(i, by, file, false)
}

func (t *transfer) compare(ctx context.Context, i int) (proof.Method, plan.Identity, error) {
	f, file, err := t.openPlanned(t.plan.Entries.At(i))
	if err != nil {
		return proof.Unverified, file, err
	}
	defer func() { _ = f.Close() }()
	by, err := t.prover.Compare(ctx, f, t.plan.Entries.At(i), t.prover.Expect)
	return by, file, err
}

// provenFile is a file that was compared, and how.
type provenFile struct {
	by   proof.Method
	file plan.Identity
}

// compareCold is compare for files that this mover has not written, after a sync: what is in
// memory is dropped, so that the device itself answers.
func (t *transfer) compareCold(ctx context.Context, i int, expect proof.Expecter) (proof.Method, plan.Identity, error) {
	f, file, err := t.openPlanned(t.plan.Entries.At(i))
	if err != nil {
		return proof.Unverified, file, err
	}
	defer func() { _ = f.Close() }()
	if err := t.volume.SyncOpen(f); err != nil {
		return proof.Unverified, file, err
	}
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	by, err := t.prover.Compare(ctx, f, t.plan.Entries.At(i), expect)
	return by, file, err
}

// openPlanned opens a file that has to be regular and of the object's size. Its identity is that of
// before it was read, so that one that changes meanwhile is another.
func (t *transfer) openPlanned(e plan.Entry) (*os.File, plan.Identity, error) {
	f, err := t.volume.Open(e.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, plan.Identity{}, errNotThere
	}
	if err != nil {
		return nil, plan.Identity{}, fmt.Errorf("read back %s: %w", plan.Quote(e.Path), err)
	}
	var stat unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &stat)
	if err != nil || stat.Mode&unix.S_IFMT != unix.S_IFREG || stat.Size != e.Size {
		_ = f.Close()
		return nil, plan.Identity{}, errors.Join(fault.ErrDiffers, err)
	}
	return f, plan.IdentityOf(&stat), nil
}
