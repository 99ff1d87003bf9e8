// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
)

// keepBeginning gives back what lies behind the first n bytes of a large file, which nobody
// vouches for, so that the room for it is not counted twice.
func (t *transfer) keepBeginning(i int, n int64) error {
	e := t.plan.Entries[i]
	f, err := t.volume.OpenFile(e.Path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = errors.Join(f.Truncate(n), f.Truncate(e.Size), f.Close())
	if err == nil {
		t.ledger.Partial.Reached(i, n)
		t.ledger.Partial.Note(map[int]int64{i: n})
	}
	return err
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
	e, n := t.plan.Entries[i], t.ledger.Partial.Of(i)
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
		t.logf("cannot go on with %s where it was interrupted: %v", plan.Quote(e.Path), err)
		t.ledger.Partial.Drop(i)
		return headStart{}
	}
	t.logf("going on with %s after %s", plan.Quote(e.Path), volume.InUnits(n))
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
