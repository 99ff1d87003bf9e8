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
	by, err := t.compare(ctx, i)
	if err != nil {
		t.ledger.Fail(i, err)
		return
	}
	t.ledger.Verified(i, by, false)
}

func (t *transfer) compare(ctx context.Context, i int) (proof.Method, error) {
	f, err := t.openPlanned(t.plan.Entries[i])
	if err != nil {
		return proof.Unverified, err
	}
	defer func() { _ = f.Close() }()
	return t.prover.Compare(ctx, f, t.plan.Entries[i], t.prover.Expect)
}

// compareCold is compare for files that this mover has not written, after a sync: what is in
// memory is dropped, so that the device itself answers.
func (t *transfer) compareCold(ctx context.Context, i int, expect proof.Expecter) (proof.Method, error) {
	f, err := t.openPlanned(t.plan.Entries[i])
	if err != nil {
		return proof.Unverified, err
	}
	defer func() { _ = f.Close() }()
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	return t.prover.Compare(ctx, f, t.plan.Entries[i], expect)
}

// openPlanned opens a file that has to be regular and of the object's size.
func (t *transfer) openPlanned(e plan.Entry) (*os.File, error) {
	f, err := t.volume.Open(e.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotThere
	}
	if err != nil {
		return nil, fmt.Errorf("read back %s: %w", plan.Quote(e.Path), err)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() != e.Size {
		_ = f.Close()
		return nil, errors.Join(fault.ErrDiffers, err)
	}
	return f, nil
}
