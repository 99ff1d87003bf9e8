// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"

	"github.com/s3populator/s3populator/mover/engine"
)

// write bytes of an object, and count the time.
func (w *worker) write(file engine.File, b []byte, at int64) error {
	c := newClock()
	defer c.lap(&w.spent.volume)
	if _, err := file.WriteAt(b, at); err != nil {
		return localError{err}
	}
	return nil
}

// fetchWhole brings an object with one request, and again from its start while that may help.
func (w *worker) fetchWhole(ctx context.Context, t *engine.Task) {
	p := patience{engine: w.Engine, pace: w.pace}
	for {
		e, err := w.tryWhole(ctx, t)
		if err == nil {
			w.pace.moved.Add(objectPrice)
			w.summed(e)
			return
		}
		if !p.again(ctx, err, w.used) {
			w.summer.giveUp()
			w.failed(ctx, t, err)
			return
		}
	}
}

func (w *worker) tryWhole(ctx context.Context, t *engine.Task) (engine.Evidence, error) {
	e := engine.Evidence{Index: t.Index}
	a, err := w.ask(ctx, query{method: "GET", task: t, whole: true})
	if err != nil {
		return e, err
	}
	e.Said, e.Encrypted, e.Pinned = a.checksumOfAll(), a.encrypted, a.pinned
	algorithm, partSize := w.choose(t, e.Said)
	w.summer.begin(algorithm, partSize, t.Size)
	c := newClock()
	file, err := w.to.Create(*t)
	c.lap(&w.spent.volume)
	if err != nil {
		w.line.close()
		return e, localError{err}
	}
	at := int64(0)
	err = w.body(ctx, t.Size, func(b []byte) error {
		if err := w.write(file, b, at); err != nil {
			return err
		}
		at += int64(len(b))
		w.summer.write(b)
		w.sink.Wrote(t.Index, int64(len(b)))
		return nil
	})
	if err != nil {
		file.Abandon()
		w.sink.Wrote(t.Index, -at)
		return e, err
	}
	c = newClock()
	e.File, err = file.Commit()
	c.lap(&w.spent.volume)
	if err != nil {
		w.sink.Wrote(t.Index, -at)
		return e, localError{err}
	}
	e.Fetched = at
	return e, nil
}

// summed hands evidence over as soon as its sum is there. The next object need not wait for that.
func (w *worker) summed(e engine.Evidence) {
	w.handing <- struct{}{} // Whoever waits here holds no buffer that a sum would need.
	w.later.Add(1)
	done := func() {
		<-w.handing
		w.later.Done()
	}
	isLater := w.summer.later(func(sum engine.Sum) {
		defer done()
		e.Received = sum
		w.arrived(e)
	})
	if !isLater {
		defer done()
		e.Received = w.summer.end()
		w.arrived(e)
	}
}
