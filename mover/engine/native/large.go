// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/s3populator/s3populator/mover/engine"
)

// large is an object that is fetched in ranges.
type large struct {
	task     engine.Task
	file     engine.File
	evidence engine.Evidence
	sum      *sums
	wrote    int64 // As told to the sink.

	// todo and busy belong to work.
	todo []piece
	busy int

	mu  sync.Mutex
	err error
}

// piece is a range that one worker brings, and what of it an earlier attempt has left.
type piece struct {
	engine.Range
	present []engine.Range
}

// next is what follows at and is either there or is not.
func (p piece) next(at int64) (r engine.Range, present bool) {
	end := p.End()
	for _, r := range p.present {
		if r.Offset <= at && at < r.End() {
			return engine.Range{Offset: at, Length: min(r.End(), end) - at}, true
		}
		if r.Offset > at {
			end = min(end, r.Offset)
		}
	}
	return engine.Range{Offset: at, Length: end - at}, false
}

// begin looks at the object as a whole, for what S3 says of it, and makes its file.
func (w *worker) begin(ctx context.Context, t *engine.Task) {
	p := patience{engine: w.Engine, pace: w.pace}
	for {
		l, err := w.open(ctx, t)
		if err == nil {
			w.work.begun(l)
			return
		}
		if !p.again(ctx, err, w.used) {
			w.avoidRanges(t.Key, err)
			w.failed(ctx, t, err)
			w.work.begun(nil)
			return
		}
	}
}

func (w *worker) open(ctx context.Context, t *engine.Task) (*large, error) {
	said, err := w.look(ctx, t)
	if err != nil {
		return nil, err
	}
	l := &large{task: *t, evidence: said}
	if l.evidence.Said.Algorithm == engine.None && t.PartSize == 0 && w.config.PartSize != nil {
		if l.task.PartSize, err = w.config.PartSize(ctx, *t); err != nil {
			return nil, err
		}
	}
	if l.file, err = w.to.Create(*t); err != nil {
		return nil, localError{err}
	}
	algorithm, partSize := w.choose(&l.task, l.evidence.Said)
	l.sum = newSums(algorithm, partSize, l.file, t.Size)
	l.todo = pieces(t, pieceSize(algorithm, partSize))
	return l, nil
}

// look asks what S3 says of an object as a whole. A refusal of HEAD has no words, and some servers and proxies
// give no right answer to it: then the first byte is asked for, which says why, or that the object can be had.
func (w *worker) look(ctx context.Context, t *engine.Task) (engine.Evidence, error) {
	e := engine.Evidence{Index: t.Index}
	a, err := w.ask(ctx, query{method: "HEAD", task: t, whole: true})
	switch {
	case err == nil:
		e.Said = a.checksumOfAll()
	case errors.Is(err, engine.ErrAnswer), refuses(err, wordless...):
		if a, err = w.ask(ctx, query{method: "GET", task: t, part: engine.Range{Length: 1}}); err != nil {
			return e, err
		}
	default:
		return e, err
	}
	e.Encrypted, e.Pinned = a.encrypted, a.pinned
	w.line.done()
	return e, nil
}

// wordless are the statuses that stand for many codes of S3, or for HEAD itself.
var wordless = []int{
	http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed,
	http.StatusNotImplemented,
}

// pieces cuts an object at multiples of a size in bytes.
func pieces(t *engine.Task, size int64) []piece {
	list := make([]piece, 0, (t.Size+size-1)/size)
	for at := int64(0); at < t.Size; at += size {
		p := piece{Range: engine.Range{Offset: at, Length: min(size, t.Size-at)}}
		for _, r := range t.Present {
			if r.Offset < p.End() && r.End() > p.Offset {
				p.present = append(p.present, r)
			}
		}
		list = append(list, p)
	}
	return list
}

// fetchRange brings a range, and again from where it was interrupted while that may help.
func (w *worker) fetchRange(ctx context.Context, l *large, part piece) {
	p := patience{engine: w.Engine, pace: w.pace}
	sum := newRangeSum(l.sum.algorithm, part.Range)
	if inPieces(l.sum.algorithm, l.sum.partSize) {
		sum.parts.begin(w.summer.emptyMD5(part.Length), l.sum.partSize, part.Length, &l.sum.pending)
	}
	for sum.at < part.End() {
		before := sum.at
		r, present := part.next(sum.at)
		err := w.bring(ctx, l, r, present, sum)
		if err == nil || sum.at == r.End() && kindOf(err) == transient { // Whatever follows the range.
			continue
		}
		if sum.at > before {
			p.reset()
		}
		if l.failure() != nil || !p.again(ctx, err, w.used) {
			w.giveUp(l, err)
			break
		}
	}
	if l.failure() == nil {
		l.sum.add(sum)
	} else {
		sum.parts.giveUp()
	}
	if w.work.fetched(l, l.failure() != nil) {
		w.end(ctx, l)
		w.work.ended()
	}
}

// giveUp ends an object for this call. Where nothing came of a range, ranges are of no use for the next one.
func (w *worker) giveUp(l *large, err error) {
	w.avoidRanges(l.task.Key, err)
	l.fail(err)
}

func (w *worker) bring(ctx context.Context, l *large, r engine.Range, present bool, sum *rangeSum) error {
	if present {
		return w.readBack(ctx, l, r, sum)
	}
	return w.tryRange(ctx, l, r, sum)
}

// tryRange moves the sum on with every byte that is written.
func (w *worker) tryRange(ctx context.Context, l *large, part engine.Range, sum *rangeSum) error {
	a, err := w.ask(ctx, query{method: "GET", task: &l.task, part: part})
	if err != nil {
		return err
	}
	if !a.pinned {
		l.unpinned()
	}
	before := sum.at
	err = w.body(ctx, part.Length, func(b []byte) error {
		if err := l.failure(); err != nil {
			return err
		}
		if err := w.write(l.file, b, sum.at); err != nil {
			return err
		}
		n := int64(len(b))
		l.sum.wrote(engine.Range{Offset: sum.at, Length: n})
		l.count(n)
		w.sink.Wrote(l.task.Index, n)
		sum.fetched(b, w.line, w.grew(l))
		return nil
	})
	if sum.at == before && errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", errHollow, err)
	}
	return err
}

// grew tells the sink of a range of an object.
func (w *worker) grew(l *large) func(engine.Range, uint64) {
	return func(r engine.Range, crc uint64) { w.sink.Grew(l.task.Index, r, crc) }
}

// readBack sums what an earlier attempt wrote.
func (w *worker) readBack(ctx context.Context, l *large, r engine.Range, sum *rangeSum) error {
	l.sum.wrote(r)
	if !l.sum.combined() {
		sum.skip(r.Length, w.grew(l))
		return nil
	}
	buffer := make([]byte, bufferSize)
	for sum.at < r.End() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := l.file.ReadAt(buffer[:min(r.End()-sum.at, bufferSize)], sum.at)
		if n == 0 && err != nil {
			return localError{fmt.Errorf("read back: %w", err)}
		}
		sum.present(buffer[:n], w.grew(l))
	}
	return nil
}

// end is called by the last worker of an object.
func (w *worker) end(ctx context.Context, l *large) {
	err := l.failure()
	if err == nil {
		l.evidence.Received, err = l.sum.end()
	} else {
		l.sum.abandon()
	}
	if err != nil {
		l.file.Abandon()
	} else if l.evidence.File, err = l.file.Commit(); err != nil {
		err = localError{err}
	}
	if err != nil {
		w.sink.Wrote(l.task.Index, -l.wrote)
		w.failed(ctx, &l.task, fmt.Errorf("get object: %w", err))
		return
	}
	l.evidence.Fetched = l.wrote
	w.arrived(l.evidence)
}

func (l *large) count(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrote += n
}

func (l *large) unpinned() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.evidence.Pinned = false
}

func (l *large) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

func (l *large) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
