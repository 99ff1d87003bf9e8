// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
)

// partialStep is by how much a large file must have grown to be worth a line in the
// journal, and a sync of the volume.
const partialStep = plan.LargeSize

// partials are the large files of which the beginning has arrived, by entry.
type partials struct {
	mu      sync.Mutex
	arrived map[int]int64 // Bytes from the file's start.
	noted   map[int]int64 // What the journal says of it.
	before  map[int]int64 // The most that an attempt before this one had noted.
}

// inherit records how far an earlier attempt was. It stays when the beginning proves
// worthless: reaching that point once more is no progress.
func (p *partials) inherit(begun map[int]int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = begun
}

// beyond reports whether one of these lengths is more than any earlier attempt had.
func (p *partials) beyond(lengths map[int]int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, n := range lengths {
		if n > p.before[i] {
			return true
		}
	}
	return false
}

// reached records that a file has its first n bytes.
func (p *partials) reached(i int, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.arrived == nil {
		p.arrived, p.noted = map[int]int64{}, map[int]int64{}
	}
	p.arrived[i] = n
}

// drop forgets a file: it is complete, or its beginning proved worthless.
func (p *partials) drop(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.arrived, i)
	delete(p.noted, i)
}

func (p *partials) of(i int) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.arrived[i]
}

// due are the files that have grown by a step since the journal heard of them.
func (p *partials) due() map[int]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	due := map[int]int64{}
	for i, n := range p.arrived {
		if n-p.noted[i] >= partialStep {
			due[i] = n
		}
	}
	return due
}

// note records that these lengths are durable and in the journal.
func (p *partials) note(lengths map[int]int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, n := range lengths {
		if _, going := p.arrived[i]; going {
			p.noted[i] = n
		}
	}
}

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
		t.ledger.partial.reached(i, n)
		t.ledger.partial.note(map[int]int64{i: n})
	}
	return err
}

// growing writes a large file and records how far it is.
type growing struct {
	file  *os.File
	to    *partials
	entry int
	at    int64
}

func (g *growing) Write(b []byte) (int, error) {
	n, err := g.file.Write(b)
	g.at += int64(n)
	g.to.reached(g.entry, g.at)
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
	e, n := t.plan.Entries[i], t.ledger.partial.of(i)
	if n <= 0 || n >= e.Size {
		return headStart{}
	}
	want, err := t.prover.Expect(ctx, e)
	if err != nil || want.Method == proof.BySize {
		t.ledger.partial.drop(i)
		return headStart{}
	}
	h := headStart{bytes: n, want: want, digest: proof.NewDigester(want)}
	if err := t.readBack(e, n, h.digest); err != nil {
		t.logf("cannot go on with %s where it was interrupted: %v", plan.Quote(e.Path), err)
		t.ledger.partial.drop(i)
		return headStart{}
	}
	t.logf("going on with %s after %s", plan.Quote(e.Path), volume.InUnits(n))
	return h
}

func (t *transfer) readBack(e plan.Entry, n int64, into io.Writer) error {
	f, err := t.openPlanned(e)
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
