// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/engine/mc"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/volume"
)

const (
	// leastBatch is how many small objects are worth a process: starting mc
	// costs about as much as eight requests.
	leastBatch = 8
	// batchKeys and batchArgs bound the arguments of one mc; the kernel's
	// limit for all of them is 2 MiB.
	batchKeys = 256
	batchArgs = 64 << 10
)

// stream fetches single objects with `mc cat`: several keys per process,
// several processes at a time. mc writes the objects one after the other into
// a pipe; the listing says where one ends. So mc never sees a path of the
// volume: renamed objects, odd keys and filters are all the same to it.
func (t *transfer) stream(ctx context.Context, list []int) error {
	workers := t.fetcher.streams()
	batches := t.batches(list, workers)
	share := t.streamShare(len(batches))
	var next atomic.Int64
	var failed atomic.Pointer[error]
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for range min(workers, len(batches)) {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(len(batches)); n = next.Add(1) {
				if err := t.streamBatch(ctx, batches[n-1], share); err != nil && failed.CompareAndSwap(nil, &err) {
					stop(err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// batches cuts a list into the arguments of single processes: large objects
// alone, the others in groups small enough for every worker to have one.
func (t *transfer) batches(list []int, workers int) [][]int {
	var large, small [][]int
	most := min(batchKeys, max(leastBatch, (len(list)+workers-1)/workers))
	var batch []int
	length := 0
	for _, i := range list {
		e := t.plan.Entries.At(i)
		if e.Size >= plan.LargeSize {
			large = append(large, []int{i})
			continue
		}
		argument := len(t.fetcher.mc.URL(e.Key)) + 1
		if len(batch) >= most || length+argument > batchArgs && len(batch) > 0 {
			small, batch, length = append(small, batch), nil, 0
		}
		batch = append(batch, i)
		length += argument
	}
	if len(batch) > 0 {
		small = append(small, batch)
	}
	return append(large, small...) // The largest pieces of work first.
}

// streamBatch runs mc until every object of the batch has arrived or failed by
// itself. An error means that the others need not be tried.
func (t *transfer) streamBatch(ctx context.Context, batch []int, share int) error {
	const patience = 3 // Objects of one batch that may fail in turn.
	for failures := 0; len(batch) > 0; {
		done, err := t.cat(ctx, batch, share)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := t.rounds.trouble(err); err != nil {
			return err
		}
		if done > 0 {
			failures = 0
		}
		failures++
		if failures >= patience {
			for _, i := range batch[done:] {
				t.ledger.Fail(i, err)
			}
			return nil
		}
		t.ledger.Fail(batch[done], err)
		batch = batch[done+1:]
	}
	return nil
}

// cat fetches a batch and returns how many of the objects arrived. The error
// belongs to the one after them.
func (t *transfer) cat(ctx context.Context, batch []int, share int) (done int, err error) {
	list := make([]plan.Entry, 0, len(batch))
	for _, i := range batch {
		list = append(list, t.plan.Entries.At(i))
	}
	start, err := t.headStart(ctx, batch)
	if err != nil {
		return 0, err
	}
	var sizeOnly []int
	files := make(map[int]plan.Identity, len(batch))
	err = t.fetcher.objects(ctx, list, start.bytes, share, func(r io.Reader) error {
		for _, i := range batch {
			by, file, err := t.receive(ctx, r, i, start)
			if err != nil {
				return err
			}
			if by == proof.BySize {
				sizeOnly, files[i] = append(sizeOnly, i), file
			} else {
				t.ledger.Verified(i, by, file, false)
			}
			done++
		}
		if n, _ := io.CopyN(io.Discard, r, 1); n > 0 {
			return fmt.Errorf("%w: S3 sent more than was listed", fault.ErrDiffers)
		}
		return nil
	})
	t.confirm(ctx, sizeOnly, files, err == nil)
	if done == len(batch) && err != nil {
		done-- // Too many bytes, or an error after the last one.
	}
	return done, err
}

// errShifted means that an object before this one in the pipe had another size
// than was listed, so that the bytes of this one are somebody else's too.
var errShifted = fmt.Errorf("%w: another object came before it", fault.ErrDiffers)

// confirm asks S3 whether objects that cannot be digested are still the listed
// ones. Then each had its listed size, and so the pipe was cut where it should;
// behind the first that changed, nothing is certain. Nor is anything when the pipe did not end
// where the last object did: an object that was not asked about, or the body of one, had another
// size. What is uncertain comes again with the next round.
func (t *transfer) confirm(ctx context.Context, list []int, files map[int]plan.Identity, ended bool) {
	errs := make([]error, len(list))
	source.Parallel(source.StatWorkers, len(list), func(n int) {
		_, errs[n] = t.source.Unchanged(ctx, t.plan, t.plan.Entries.At(list[n]))
	})
	shifted := false
	for n, i := range list {
		switch {
		case errs[n] != nil:
			t.ledger.Fail(i, errs[n])
			shifted = true
		case shifted:
			t.ledger.Fail(i, errShifted)
		case ended:
			t.ledger.Verified(i, proof.BySize, files[i], false)
		}
	}
}

// errShort means that an engine ended before an object was complete.
var errShort = mc.ErrShort

// receive writes the next bytes of the pipe to a file and compares them, with those that
// were there before.
func (t *transfer) receive(
	ctx context.Context,
	r io.Reader,
	i int,
	start headStart,
) (proof.Method, plan.Identity, error) {
	e := t.plan.Entries.At(i)
	want, d := start.want, start.digest
	if start.bytes == 0 {
		var err error
		if want, err = t.prover.Expect(ctx, e); err != nil {
			return proof.Unverified, plan.Identity{}, err
		}
		d = proof.NewDigester(want)
	}
	file, err := t.write(i, d, r, start.bytes)
	if err != nil {
		return proof.Unverified, file, err
	}
	if d.Size < e.Size {
		return proof.Unverified, file, errShort
	}
	// Complete, right or wrong: nothing of it is a beginning any more.
	t.ledger.Partial.Drop(i)
	if d.Matches() {
		return want.Method, file, nil
	}
	by, file, err := t.settleFile(ctx, e, want)
	if err == nil && by == proof.BySize && start.bytes > 0 {
		return proof.Unverified, file, fault.ErrDiffers // Nobody vouches for the beginning: the whole object comes again.
	}
	return by, file, err
}

// write fills a file from an offset on, and says which file that is.
func (t *transfer) write(i int, d *proof.Digester, r io.Reader, from int64) (plan.Identity, error) {
	e := t.plan.Entries.At(i)
	if e.Size >= plan.LargeSize { // What is there is gone on with, and may be another mover's by now.
		if err := t.journal.Owned(); err != nil {
			return plan.Identity{}, err
		}
	}
	f, err := replacing(t.volume, t.journal, e.Path, func() (*os.File, error) {
		return t.volume.Create(e.Path, e.Size, e.Size >= plan.LargeSize)
	})
	if err != nil {
		return plan.Identity{}, err
	}
	var to io.Writer = f
	if e.Size >= plan.LargeSize {
		if _, err := f.Seek(from, io.SeekStart); err != nil {
			_ = f.Close()
			return plan.Identity{}, fmt.Errorf("write to the volume: %w", err)
		}
		to = &growing{file: f, to: &t.ledger.Partial, entry: i, at: from}
	}
	t.progress.inFlight.Add(from)
	defer t.progress.inFlight.Add(-from)
	if err := t.fetcher.pump(to, d, io.LimitReader(r, e.Size-from)); err != nil {
		_ = f.Close()
		return plan.Identity{}, err
	}
	return commit(t.volume, f, e.Path)
}

// commit closes a file and says which one it is, by its path: what a network file system notes
// as the time of its last change may become known only then.
func commit(v *volume.Volume, f *os.File, name string) (plan.Identity, error) {
	var written unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &written)
	if err := errors.Join(err, f.Close()); err != nil {
		return plan.Identity{}, fault.NotWritable(err)
	}
	found, err := v.Stat(name)
	return sameFile(name, &written, &found, err)
}

func (t *transfer) settleFile(
	ctx context.Context,
	e plan.Entry,
	tried proof.Expectation,
) (proof.Method, plan.Identity, error) {
	f, file, err := t.openPlanned(e)
	if err != nil {
		return proof.Unverified, file, err
	}
	defer func() { _ = f.Close() }()
	by, err := t.prover.Settle(ctx, e, f, tried)
	return by, file, err
}
