// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/wire"
)

// enter decides whether the volume may be filled, and makes its journal this
// mover's. Before that, nothing on the volume is changed, and no phase but Listing is told:
// the manager takes any other for the word that what is on the volume is ours.
func (t *transfer) enter(ctx context.Context) error {
	o, err := t.volume.look(t.request.Volume.ClaimUID)
	if err != nil {
		return err
	}
	may := o.admit(t.request.First(), t.request.Volume.Began)
	t.held.Store(may == refuse || may == prove || may == recognise)
	switch may {
	case refuse:
		return o.refusal()
	case prove:
		if err := t.prove(ctx); err != nil {
			return err
		}
	case recognise:
		if err := t.recognise(ctx, o); err != nil {
			return err
		}
	case begin, goOn:
	}
	if t.whole {
		return nil // Nothing is written to it: it might be in use by now.
	}
	if t.journal, err = takeOver(t.volume, t.header()); err != nil {
		return err
	}
	t.began.Store(true)
	return t.volume.makeTarget()
}

// recognise accepts the volume of a first attempt that a mover has completed whose pod was gone
// before the manager had seen it. It has to be the whole of what is listed and nothing else:
// then it holds no byte that is not in S3. Whatever keeps that from being shown refuses it.
func (t *transfer) recognise(ctx context.Context, o occupancy) error {
	err := t.prove(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil && t.whole {
		return nil
	}
	if fault.ReasonOf(err) == wire.VolumeNotEmpty {
		return err
	}
	return o.refusal().Because(err)
}

// prove accepts a volume without a journal whose every entry is one that the
// listing names and whose every file has the content of its object. An earlier
// mover that completed it removed the journal; its report was lost. Nothing is
// changed, and what cannot be compared by content is not accepted.
func (t *transfer) prove(ctx context.Context) error {
	if err := t.makePlan(ctx); err != nil {
		return err
	}
	p := &proof{sweep: sweep{volume: t.volume, plan: t.plan}}
	p.keep = func(i int, stat *unix.Stat_t) bool {
		p.found = append(p.found, i)
		return stat.Size == t.plan.Entries[i].Size
	}
	if err := p.directory(ctx, "."); err != nil {
		return err
	}
	if len(p.foreign) > 0 {
		return occupancy{foreign: p.foreign}.refusal()
	}
	if len(p.found) == 0 {
		return nil
	}
	if err := t.volume.openTarget(); err != nil {
		return fault.NotWritable(err)
	}
	if err := t.proveFiles(ctx, p.found); err != nil {
		return err
	}
	t.whole = t.isWhole()
	return nil
}

// isWhole tells that nothing is left to do on a volume whose files are proven, and if so
// enters all of it into the ledger.
func (t *transfer) isWhole() bool {
	if len(t.proven) < t.plan.Files() || !t.ownersAreSet() {
		return false
	}
	for _, e := range t.plan.Entries {
		if !e.IsDir() {
			continue
		}
		if info, err := t.volume.data.Lstat(e.Path[:len(e.Path)-1]); err != nil || !info.IsDir() {
			return false
		}
	}
	for i, e := range t.plan.Entries {
		if e.IsDir() {
			t.ledger.verified(i, byExistence, true)
		} else {
			t.ledger.verified(i, t.proven[i], true)
		}
	}
	return true
}

func (t *transfer) proveFiles(ctx context.Context, found []int) error {
	if err := t.volume.sync(); err != nil {
		return err
	}
	proven := make(map[int]method, len(found))
	var mu sync.Mutex
	var failed error
	source.Parallel(source.StatWorkers, len(found), func(n int) {
		mu.Lock()
		over := failed != nil || ctx.Err() != nil
		mu.Unlock()
		if over {
			return
		}
		by, err := t.compareCold(ctx, found[n], t.expectContent)
		mu.Lock()
		defer mu.Unlock()
		if err == nil && by != bySize {
			proven[found[n]] = by
		} else {
			failed = errors.Join(failed, t.unproven(found[n], err))
		}
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t.proven = proven
	return failed
}

// unproven is for a file whose content is not, or cannot be shown to be, that of its
// object. When S3 could not be asked, time may help.
func (t *transfer) unproven(i int, err error) error {
	name := plan.Quote(path.Join(t.volume.target, t.plan.Entries[i].Path))
	switch {
	case err == nil:
		return notEmpty("S3 tells nothing that proves the content of " + name)
	case errors.Is(err, fault.ErrDiffers):
		return notEmpty(name + " is not what its object holds")
	}
	return fmt.Errorf("compare %s: %w", name, err)
}

// proof walks a volume as a sweep does and removes nothing.
type proof struct {
	sweep

	foreign []string // What the listing does not name.
	found   []int    // Files that it names, by entry.
}

func (p *proof) directory(ctx context.Context, dir string) error {
	f, err := p.volume.root.Open(dir)
	if err != nil {
		return fmt.Errorf("read directory %s: %w", plan.Quote(dir), fault.NotWritable(err))
	}
	extra, below, err := p.read(ctx, f, dir)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read directory %s: %w", plan.Quote(dir), err)
	}
	for _, name := range extra[:min(len(extra), examples-len(p.foreign))] {
		p.foreign = append(p.foreign, plan.Quote(name))
	}
	for _, name := range below {
		if len(p.foreign) >= examples {
			return nil
		}
		if err := p.directory(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
