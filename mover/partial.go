// SPDX-License-Identifier: Apache-2.0

package mover

import (
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
// of them when they were written.
func (t *transfer) keepRanges(i int, b *begunFile) error {
	e := t.plan.Entries.At(i)
	f, err := t.volume.OpenFile(e.Path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	x, err := t.foundRanges(f, b)
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

// foundRanges adds to what is durable the ranges whose bytes on the device have their sum.
func (t *transfer) foundRanges(f *os.File, b *begunFile) (ledger.Extents, error) {
	x := slices.Clone(b.durable)
	if len(b.blocks) > 0 {
		if err := t.volume.SyncOpen(f); err != nil {
			return nil, err
		}
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // All was synced just now.
	}
	buffer, _ := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buffer)
	sum := crc64nvme.New()
	for _, l := range b.blocks {
		r := l.Range
		if x.Has(r) {
			continue
		}
		sum.Reset()
		n, err := io.CopyBuffer(sum, io.NewSectionReader(f, r.Offset, r.Length), *buffer)
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
// bytes could not be compared in the end, nor when the file cannot be read.
func (t *transfer) headStart(ctx context.Context, batch []int) headStart {
	if len(batch) != 1 {
		return headStart{}
	}
	i := batch[0]
	e, n := t.plan.Entries.At(i), t.ledger.Partial.Of(i)
	if n <= 0 || n >= e.Size {
		return headStart{}
	}
	want, err := t.prover.Expect(ctx, e)
	if err != nil || want.Method == proof.BySize {
		t.ledger.Partial.Drop(i)
		return headStart{}
	}
	h := headStart{bytes: n, want: want, digest: proof.NewDigester(want)}
	if err := t.readBack(e, n, h.digest); err != nil {
		t.log.printf("cannot go on with %s where it was interrupted: %v", plan.Quote(e.Path), err)
		t.ledger.Partial.Drop(i)
		return headStart{}
	}
	t.log.printf("going on with %s after %s", plan.Quote(e.Path), volume.InUnits(n))
	return h
}

func (t *transfer) readBack(e plan.Entry, n int64, into io.Writer) error {
	f, _, err := t.openPlanned(e)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	buffer, _ := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buffer)
	read, err := io.CopyBuffer(into, io.LimitReader(f, n), *buffer)
	if err == nil && read < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read %d of %d bytes: %w", read, n, err)
	}
	return nil
}
