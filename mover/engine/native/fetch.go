// SPDX-License-Identifier: Apache-2.0

package native

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/engine"
)

// run is one call of Fetch.
type run struct {
	*Engine

	to    engine.Target
	sink  engine.Sink
	work  *work
	pace  *pace
	watch *watch
	lanes lanes
	// later are objects whose sum is not there yet.
	later sync.WaitGroup
	// handing has room for as many of them as there are connections: to hand one over may take long, as on a volume
	// that stalls, and each is a goroutine with a file.
	handing chan struct{}
	stop    context.CancelCauseFunc

	mu     sync.Mutex
	inARow int // Objects that failed since the last one that arrived.
}

// hopeless is how many objects may fail in a row, for reasons that might pass, before the
// others are not tried.
const hopeless = 2 * mostConnections

// Fetch implements engine.Engine.
func (e *Engine) Fetch(ctx context.Context, tasks engine.Tasks, to engine.Target, sink engine.Sink) error {
	ranges, hollow := !e.noRanges.Load(), e.hollow.known() // The same for all of this call.
	w, end := newWork(tasks, func(t engine.Task) bool { return ranges && t.Size >= LargeSize && !hollow[t.Key] })
	defer end()
	return e.fetch(ctx, w, to, sink)
}

// FetchSmall is Fetch of tasks whose number is not known yet: it takes the next one when it has a connection
// for it, and waits for it. None is as large as LargeSize. Tasks end when the context does.
func (e *Engine) FetchSmall(ctx context.Context, tasks engine.Tasks, to engine.Target, sink engine.Sink) error {
	w, end := newSmallWork(tasks)
	defer end()
	return e.fetch(ctx, w, to, sink)
}

func (e *Engine) fetch(ctx context.Context, w *work, to engine.Target, sink engine.Sink) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &run{Engine: e, to: to, sink: sink, stop: stop, pace: newPace(e.config.Connections, e.room), work: w}
	r.lanes.room = e.room
	r.handing = make(chan struct{}, r.workers())
	var endWatch func()
	r.watch, endWatch = startWatch(ctx, e.config.Idle)
	defer endWatch()
	defer context.AfterFunc(ctx, r.work.stop)()
	paced, endPace := context.WithCancel(ctx)
	var pacing, workers sync.WaitGroup
	pacing.Go(func() { r.pace.run(paced) })
	for n := range r.workers() {
		workers.Go(func() { r.worker(ctx, n, endPace) })
	}
	workers.Wait()
	r.lanes.close()
	r.later.Wait()
	endPace()
	pacing.Wait()
	for _, l := range r.work.abandoned() {
		l.sum.abandon()
		l.file.Abandon()
	}
	return context.Cause(ctx)
}

func (r *run) workers() int {
	return cmp.Or(r.pace.asked, r.pace.most)
}

// worker does one thing after the other on a connection of its own. What is left to do is
// over for all when it is over for one.
func (r *run) worker(ctx context.Context, n int, over func()) {
	if !r.pace.enter(n) {
		return
	}
	w := &worker{run: r, summer: summer{besides: r.lanes.besides(r.pace.count()), besidesFrom: r.lanes.from()}}
	defer w.close()
	for {
		i, ok := r.work.take(r.pace.count())
		if !ok {
			over()
			return
		}
		switch {
		case i.begin:
			w.begin(ctx, &i.task)
		case i.large != nil:
			w.fetchRange(ctx, i.large, i.part)
		default:
			w.fetchWhole(ctx, &i.task)
		}
		if !r.pace.enter(n) && ctx.Err() != nil {
			return
		}
	}
}

// arrived hands evidence over.
func (r *run) arrived(e engine.Evidence) {
	r.mu.Lock()
	r.inARow = 0
	r.mu.Unlock()
	r.sink.Arrived(e)
}

// failed tells the sink, which may end everything.
func (r *run) failed(ctx context.Context, t *engine.Task, err error) {
	if ctx.Err() != nil {
		return
	}
	end := r.sink.Failed(t.Index, err)
	r.mu.Lock()
	r.inARow++
	if end == nil && r.inARow >= hopeless && kindOf(err) != final {
		end = err
	}
	r.mu.Unlock()
	if end != nil {
		r.stop(end)
	}
}

// worker has a connection and what its answers are summed with.
type worker struct {
	*run

	line   line
	isRaw  bool
	summer summer
	used   *signing
}

func (w *worker) close() {
	if w.line != nil {
		w.line.close()
	}
}

// ask sends a request and returns its answer when it is the one that was asked for. A server
// that does not know checksums, or conditions, may refuse a request that asks for them.
func (w *worker) ask(ctx context.Context, q query) (*answer, error) {
	q.checksums = q.whole && !w.noChecksums.Load()
	q.unconditional = q.task.ETag == "" || w.noConditions.Load()
	a, err := w.askOnce(ctx, q)
	if q.checksums && refuses(err, http.StatusBadRequest, http.StatusNotImplemented) && kindOf(err) != transient {
		q.checksums = false
		if a, err = w.askOnce(ctx, q); err == nil {
			w.noChecksums.Store(true)
		}
	}
	if !q.unconditional && refuses(err, http.StatusPreconditionFailed, http.StatusNotImplemented) {
		a, err = w.askUnconditionally(ctx, q, err)
	}
	switch {
	case q.whole:
	case refuses(err, http.StatusNotImplemented):
		w.noRanges.Store(true)
	case refuses(err, http.StatusRequestedRangeNotSatisfiable):
		err = fmt.Errorf("%w: %w", errHollow, err)
	}
	return a, err
}

// askUnconditionally is for servers that compare entity tags in another way than they write them. Only an
// answer that names the object tells that it is the one that was listed; else the refusal holds.
func (w *worker) askUnconditionally(ctx context.Context, q query, refusal error) (*answer, error) {
	q.unconditional = true
	a, err := w.askOnce(ctx, q)
	switch {
	case err == nil && a.pinned:
		w.noConditions.Store(true)
		return a, nil
	case err == nil:
		w.line.close()
	case kindOf(err) != final:
		return nil, err
	}
	return nil, refusal
}

// refuses tells whether S3 answered with one of these statuses.
func refuses(err error, statuses ...int) bool {
	var said minio.ErrorResponse
	return errors.As(err, &said) && slices.Contains(statuses, said.StatusCode)
}

func (w *worker) askOnce(ctx context.Context, q query) (*answer, error) {
	if raw := !w.plain.Load(); w.line == nil || raw != w.isRaw {
		w.close()
		if w.isRaw = raw; raw {
			w.line = newRawLine(w.Engine, w.watch)
		} else {
			w.line = newPlainLine(w.Engine)
		}
	}
	now := time.Now() //nolint:forbidigo // Keys are valid for a day.
	var err error
	if w.used, err = w.signer.at(ctx, now); err != nil {
		return nil, err // Who makes sessions may be in trouble like any server.
	}
	if err := sendable(q.task, w.used); err != nil {
		return nil, err
	}
	c := newClock()
	a, err := w.line.ask(ctx, q, w.used)
	c.lap(&w.spent.server)
	if err != nil {
		return nil, err
	}
	if a.status >= 300 {
		return nil, readError(w.line, a, w.bucketName(), q)
	}
	ranges := true
	if err := a.check(q, &ranges); err != nil {
		w.line.close()
		if a.kept { // It may have been sent for an earlier request. The next connection is a new one.
			return w.askOnce(ctx, q)
		}
		if !ranges {
			w.noRanges.Store(true)
		}
		return nil, err
	}
	return a, nil
}

func (e *Engine) bucketName() string { return strings.Trim(e.config.Bucket.Path, "/") }

// sendable refuses what would end a line of a request. Nothing of this can be in a tag or in
// keys that work.
func sendable(t *engine.Task, s *signing) error {
	for _, text := range []string{t.ETag, s.keys.Access, s.keys.Session} {
		for _, c := range []byte(text) {
			if c < ' ' || c == 0x7f || c == '"' {
				return localError{fmt.Errorf("the entity tag or the keys hold the character %q", c)}
			}
		}
	}
	return nil
}

// body reads want bytes and hands them over in pieces. A body of another length is an error,
// also when too much came: then what came is not the object.
func (w *worker) body(ctx context.Context, want int64, piece func([]byte) error) error {
	defer w.line.done()
	c := newClock()
	for got := int64(0); ; {
		b, err := w.line.next()
		c.lap(&w.spent.network)
		switch {
		case errors.Is(err, io.EOF) && got == want:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("read the object: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return fmt.Errorf("read the object: %w", err)
		}
		if got += int64(len(b)); got > want {
			return answerf("more than %d bytes come", want)
		}
		if err := piece(b); err != nil {
			return err
		}
		c = newClock()
		w.pace.moved.Add(int64(len(b)))
		if w.limit != nil {
			if err := w.limit.WaitN(ctx, len(b)); err != nil {
				return localError{err}
			}
			c.lap(&w.spent.throttled)
		}
	}
}
