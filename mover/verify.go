// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/source"
)

// errNotThere means that a file did not arrive.
var errNotThere = errors.New("the file did not arrive on the volume")

// readBuffers hold one piece of a file each; 256 KiB keeps the number of
// system calls low and the memory of a dozen workers in single megabytes.
var readBuffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// check compares one file on the volume with its object and records the
// result. Nothing is transferred and nothing is removed.
func (t *transfer) check(ctx context.Context, i int) {
	by, err := t.compare(ctx, i)
	if err != nil {
		t.ledger.fail(i, err)
		return
	}
	t.ledger.verified(i, by, false)
}

func (t *transfer) compare(ctx context.Context, i int) (method, error) {
	f, err := t.openPlanned(t.plan.Entries[i])
	if err != nil {
		return unverified, err
	}
	defer func() { _ = f.Close() }()
	return t.compareFile(ctx, f, i, t.expect)
}

type expecter func(context.Context, plan.Entry) (expectation, error)

// compareCold is compare for files that this mover has not written, after a sync: what is in
// memory is dropped, so that the device itself answers.
func (t *transfer) compareCold(ctx context.Context, i int, expect expecter) (method, error) {
	f, err := t.openPlanned(t.plan.Entries[i])
	if err != nil {
		return unverified, err
	}
	defer func() { _ = f.Close() }()
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	return t.compareFile(ctx, f, i, expect)
}

func (t *transfer) compareFile(ctx context.Context, f *os.File, i int, expect expecter) (method, error) {
	e := t.plan.Entries[i]
	want, err := expect(ctx, e)
	if err != nil {
		return unverified, err
	}
	same, err := digestFile(f, want)
	if err != nil {
		return unverified, fmt.Errorf("read back %s: %w", plan.Quote(e.Path), err)
	}
	if same {
		return want.method, nil
	}
	return t.settle(ctx, e, f, want)
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

// settle is for bytes that did not match. Before the transfer is blamed, S3 is
// asked whether it is still the object that was listed, and for a checksum
// that does not depend on what an entity tag means here. Only where S3 says that
// the entity tag is no digest of the content has nothing been disproven.
func (m *mover) settle(ctx context.Context, e plan.Entry, f io.ReadSeeker, tried expectation) (method, error) {
	want, err := m.expectOtherwise(ctx, e, tried)
	if err != nil || want.method == bySize {
		return want.method, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return unverified, fmt.Errorf("read back %s: %w", plan.Quote(e.Path), err)
	}
	same, err := digestFile(f, want)
	if err != nil {
		return unverified, fmt.Errorf("read back %s: %w", plan.Quote(e.Path), err)
	}
	if !same {
		return unverified, fault.ErrDiffers
	}
	return want.method, nil
}

// expectOtherwise says how else an object that did not match may be recognised, or that it
// differs.
func (m *mover) expectOtherwise(ctx context.Context, e plan.Entry, tried expectation) (expectation, error) {
	info, err := m.source.Unchanged(ctx, m.plan, e)
	if err != nil {
		return expectation{}, err
	}
	want := expectation{size: e.Size, tag: e.ETag}
	switch sum, algo := objectChecksum(info); {
	case sum != "" && tried.method != byChecksum:
		want.method, want.sum, want.algo = byChecksum, sum, algo
		return want, nil
	case source.Encrypted(info) && tried.method != byChecksum:
		want.method = bySize
		return want, nil
	case tried.method == byParts && len(tried.parts) == 1:
		// Parts of uneven sizes after all?
		if want.parts, err = m.partSizes(ctx, e); err != nil || want.parts == nil {
			return expectation{}, errors.Join(fault.ErrDiffers, err)
		}
		want.method = byParts
		return want, nil
	}
	return expectation{}, fault.ErrDiffers
}

// digestFile reads a file from where it stands and compares. Sizes were
// compared by the caller, so nothing is read when there is nothing to compute.
func digestFile(f io.Reader, want expectation) (bool, error) {
	if want.method == bySize {
		return true, nil
	}
	d := newDigester(want)
	buffer, _ := readBuffers.Get().(*[]byte)
	defer readBuffers.Put(buffer)
	for {
		n, err := f.Read(*buffer)
		_, _ = d.Write((*buffer)[:n])
		if errors.Is(err, io.EOF) {
			return d.matches(), nil
		}
		if err != nil {
			return false, err //nolint:wrapcheck // The caller names the file.
		}
	}
}
