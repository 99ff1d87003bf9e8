// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"
	"fmt"
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

// piece is a range that one worker brings.
type piece struct {
	engine.Range
	present bool // It is read back instead of being fetched.
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
			w.failed(ctx, t, err)
			w.work.begun(nil)
			return
		}
	}
}

func (w *worker) open(ctx context.Context, t *engine.Task) (*large, error) {
	a, err := w.ask(ctx, query{method: "HEAD", task: t, whole: true})
	if err != nil {
		return nil, err
	}
	l := &large{task: *t, todo: pieces(t)}
	l.evidence = engine.Evidence{Index: t.Index, Said: a.checksumOfAll(), Encrypted: a.encrypted, Pinned: a.pinned}
	w.line.done()
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
	return l, nil
}

// pieces cuts an object at multiples of rangeSize, and where what is present begins or ends.
func pieces(t *engine.Task) []piece {
	var list []piece
	add := func(from, to int64, present bool) {
		for from < to {
			end := min((from/rangeSize+1)*rangeSize, to)
			list = append(list, piece{engine.Range{Offset: from, Length: end - from}, present})
			from = end
		}
	}
	at := int64(0)
	for _, r := range t.Present {
		add(at, r.Offset, false)
		add(r.Offset, r.End(), true)
		at = r.End()
	}
	add(at, t.Size, false)
	return list
}

// fetchRange brings a range, and again from where it was interrupted while that may help.
func (w *worker) fetchRange(ctx context.Context, l *large, part piece) {
	p := patience{engine: w.Engine, pace: w.pace}
	sum := newRangeSum(l.sum.algorithm, part.Range)
	for {
		before := sum.at
		var err error
		if part.present {
			err = w.readBack(ctx, l, part.Range, sum)
		} else {
			err = w.tryRange(ctx, l, engine.Range{Offset: sum.at, Length: part.End() - sum.at}, sum)
		}
		if err == nil || sum.at == part.End() && kindOf(err) == transient { // Whatever follows the range.
			l.sum.add(part.Range, sum.crc)
			break
		}
		if sum.at > before {
			p.reset()
		}
		if l.failure() != nil || !p.again(ctx, err, w.used) {
			l.fail(err)
			break
		}
	}
	if w.work.fetched(l, l.failure() != nil) {
		w.end(ctx, l)
		w.work.ended()
	}
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
	return w.body(ctx, part.Length, func(b []byte) error {
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
		sum.write(b, func(r engine.Range, crc uint64) { w.sink.Grew(l.task.Index, r, crc) })
		return nil
	})
}

// readBack sums what an earlier attempt wrote.
func (w *worker) readBack(ctx context.Context, l *large, part engine.Range, sum *rangeSum) error {
	l.sum.wrote(part)
	if isCRC(l.sum.algorithm) {
		buffer := make([]byte, bufferSize)
		for at := part.Offset; at < part.End(); {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			n, err := l.file.ReadAt(buffer[:min(part.End()-at, bufferSize)], at)
			if n == 0 && err != nil {
				return localError{fmt.Errorf("read back: %w", err)}
			}
			sum.crc = update(sum.algorithm, sum.crc, buffer[:n])
			at += int64(n)
		}
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
