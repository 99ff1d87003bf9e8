// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"

	"github.com/s3populator/s3populator/mover/engine"
)

// fetchWhole brings an object with one request, and again from its start while that may help.
func (w *worker) fetchWhole(ctx context.Context, t *engine.Task) {
	p := patience{engine: w.Engine, pace: w.pace}
	for {
		e, err := w.tryWhole(ctx, t)
		if err == nil {
			w.pace.moved.Add(objectPrice)
			w.arrived(e)
			return
		}
		if !p.again(ctx, err, w.used) {
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
	e.Said, e.Encrypted = a.checksumOfAll(), a.encrypted
	w.summer.begin(w.choose(t, e.Said))
	file, err := w.to.Create(*t)
	if err != nil {
		w.line.close()
		return e, localError{err}
	}
	at := int64(0)
	err = w.body(ctx, t.Size, func(b []byte) error {
		if _, err := file.WriteAt(b, at); err != nil {
			return localError{err}
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
	if e.File, err = file.Commit(); err != nil {
		w.sink.Wrote(t.Index, -at)
		return e, localError{err}
	}
	e.Received = w.summer.end()
	return e, nil
}
