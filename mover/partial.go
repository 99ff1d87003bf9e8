// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/minio/crc64nvme"
	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
)

// errNothingThere means that of a large file nothing is left that can be gone on with.
var errNothingThere = errors.New("nothing of it is there")

// keepRanges gives back what nobody vouches for of a large file, so that the room for it is not
// counted twice: what lies between the ranges that are durable, or that have the sum that was noted
// of them when they were written. When the context ends, nothing was found out and all stays.
func (t *transfer) keepRanges(ctx context.Context, i int, b *begunFile) error {
	e := t.plan.Entries.At(i)
	f, err := t.volume.OpenFile(e.Path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	x, err := t.foundRanges(ctx, f, b)
	if err == nil && len(x) == 0 {
		err = errNothingThere
	}
	if err == nil {
		x, err = emptyBetween(f, x, e.Size, t.journal.Owned)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		t.ledger.Partial.Keep(i, x)
		noted := b.durable
		if x.Bytes() < noted.Bytes() { // Some of it was given back, and the journal has to say so soon.
			noted = x
		}
		t.ledger.Partial.Note(map[int]ledger.Extents{i: noted})
	}
	return err
}

// foundRanges are those whose bytes on the device can be gone on with.
func (t *transfer) foundRanges(ctx context.Context, f *os.File, b *begunFile) (ledger.Extents, error) {
	if len(b.blocks) > 0 {
		if err := t.volume.SyncOpen(f); err != nil {
			return nil, err
		}
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // All was synced just now.
	}
	return soundRanges(ctx, f, b)
}

// soundRanges adds to what is durable the ranges whose bytes have their sum.
func soundRanges(ctx context.Context, f io.ReaderAt, b *begunFile) (ledger.Extents, error) {
	x := slices.Clone(b.durable)
	sum := crc64nvme.New()
	for _, l := range b.blocks {
		r := l.Range
		if x.Has(r) {
			continue
		}
		sum.Reset()
		n, err := copyAll(ctx, sum, io.NewSectionReader(f, r.Offset, r.Length))
		if err != nil {
			return nil, fmt.Errorf("read back: %w", err)
		}
		if n == r.Length && sum.Sum64() == l.crc {
			x = x.With(r)
		}
	}
	return x, nil
}

// fallocate is unix.Fallocate; a test refuses in its place.
var fallocate = unix.Fallocate

// emptyBetween takes the room of what lies outside of some ranges. Where a file system cannot make
// holes, the beginning is all that is kept. Owned is asked before each step: to read back what is there takes
// as long as another mover needs to complete the file.
func emptyBetween(f *os.File, x ledger.Extents, size int64, owned func() error) (ledger.Extents, error) {
	at := int64(0)
	for _, r := range x {
		if r.Offset > at {
			if err := owned(); err != nil {
				return nil, err
			}
			const hole = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
			if err := fallocate(int(f.Fd()), hole, at, r.Offset-at); err != nil {
				x = ledger.Extents(nil).With(plan.Range{Length: x.Beginning()})
				break
			}
		}
		at = r.End()
	}
	if len(x) == 0 {
		return nil, errNothingThere
	}
	if err := owned(); err != nil {
		return nil, err
	}
	end := x[len(x)-1].End()
	return x, errors.Join(f.Truncate(end), f.Truncate(size))
}

// growing writes a large file and records how far it is.
type growing struct {
	file  *os.File
	to    *ledger.Partials
	entry int
	at    int64
}

func (g *growing) Write(b []byte) (int, error) {
	n, err := g.file.Write(b)
	g.at += int64(n)
	g.to.Reached(g.entry, g.at)
	return n, err //nolint:wrapcheck // The caller names the volume.
}

// headStart is the beginning of a large object that need not come again. It is never
// trusted: its bytes are read back into the digest that the whole file must match.
type headStart struct {
	bytes  int64
	want   proof.Expectation
	digest *proof.Digester
}

// headStart reads what an interrupted transfer left of an object. There is none where the
// bytes could not be compared in the end, nor when the file cannot be read. The error is that S3 could not
// be asked, or that the context has ended: what is there is worth what it was, and the next round goes on with it.
func (t *transfer) headStart(ctx context.Context, batch []int) (headStart, error) {
	if len(batch) != 1 {
		return headStart{}, nil
	}
	i := batch[0]
	e, n := t.plan.Entries.At(i), t.ledger.Partial.Of(i)
	if n <= 0 || n >= e.Size {
		return headStart{}, nil
	}
	want, err := t.prover.Expect(ctx, e)
	if err != nil {
		return headStart{}, cmp.Or(context.Cause(ctx), err)
	}
	h := headStart{bytes: n, want: want}
	if want.Method != proof.BySize {
		h.digest = proof.NewDigester(want)
		err = t.readBack(ctx, e, n, h.digest)
	}
	switch {
	case ctx.Err() != nil:
		return headStart{}, context.Cause(ctx)
	case err != nil:
		t.log.printf("cannot go on with %s where it was interrupted: %v", plan.Quote(e.Path), err)
	case h.digest != nil:
		t.log.printf("going on with %s after %s", plan.Quote(e.Path), volume.InUnits(n))
		return h, nil
	}
	t.ledger.Partial.Drop(i)
	return headStart{}, nil
}

func (t *transfer) readBack(ctx context.Context, e plan.Entry, n int64, into io.Writer) error {
	f, _, err := t.openPlanned(e)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	read, err := copyAll(ctx, into, io.LimitReader(f, n))
	if err == nil && read < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read %d of %d bytes: %w", read, n, err)
	}
	return nil
}
