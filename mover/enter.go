// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// enter decides whether the volume may be filled, and makes its journal this
// mover's. Before that, nothing on the volume is changed, and no phase but Listing is told:
// the manager takes any other for the word that what is on the volume is ours.
func (t *transfer) enter(ctx context.Context) error {
	owner, claim, err := whose(t.volume, t.request.Volume.ClaimUID)
	if err != nil {
		return err
	}
	o, err := t.volume.Look(owner, ledger.Files)
	if err != nil {
		return err
	}
	o.Other = claim
	may := o.Admit(t.request.First(), t.request.Volume.Began)
	t.status.held.Store(may != volume.Begin && may != volume.GoOn)
	if err := t.admitted(ctx, o, may); err != nil {
		return err
	}
	t.empty = may == volume.Begin && len(o.Foreign) == 0
	if t.whole { // Nothing else is written to it: it might be in use by now.
		if err := ledger.RemoveRest(t.volume.Root); err != nil {
			t.log.printf("%v", err)
		}
		return nil
	}
	if t.journal, err = ledger.TakeOver(t.volume.Root, t.header); err != nil {
		return err
	}
	t.status.began.Store(true)
	return t.volume.MakeTarget()
}

// admitted proves what has to be proven of what is on the volume.
func (t *transfer) admitted(ctx context.Context, o volume.Occupancy, may volume.Admission) error {
	switch may {
	case volume.Refuse:
		return o.Refusal()
	case volume.Prove:
		return t.prove(ctx)
	case volume.Recognise:
		return t.recognise(ctx, o)
	case volume.Confirm:
		err := t.prove(ctx)
		if err == nil && !t.whole || errors.Is(err, fs.ErrPermission) { // As where modes were restored.
			return o.Refusal().Because(err)
		}
		return err
	case volume.Begin, volume.GoOn:
	}
	return nil
}

// recognise accepts the volume of a first attempt that a mover has completed whose pod was gone
// before the manager had seen it. It has to be the whole of what is listed and nothing else:
// then it holds no byte that is not in S3. Whatever keeps that from being shown refuses it.
func (t *transfer) recognise(ctx context.Context, o volume.Occupancy) error {
	err := t.prove(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil && t.whole {
		return nil
	}
	return t.unrecognised(o, err)
}

// unrecognised says also what else a volume may be that is not empty: nobody knows of a mover of this claim that came
// and went while no manager ran, and its volume is not that of a careless storage class.
func (t *transfer) unrecognised(o volume.Occupancy, err error) *fault.Failure {
	f, known := errors.AsType[*fault.Failure](err)
	if !known || f.Reason != wire.VolumeNotEmpty {
		f = o.Refusal().Because(err)
		if err != nil {
			f.Message += ". Whether it is what is selected cannot be told: " + t.faults.Classify(err).Message
		}
	}
	f.Message += ". If a mover of this claim has filled it, and was gone before a manager had seen that, " +
		"create the claim again"
	return f
}

// prove accepts a volume without a journal whose every entry is one that the
// listing names and whose every file has the content of its object. An earlier
// mover that completed it removed the journal; its report was lost. Nothing is
// changed, and what cannot be compared by content is not accepted.
func (t *transfer) prove(ctx context.Context) error {
	if err := t.makePlan(ctx); err != nil {
		return err
	}
	foreign, found, err := t.volume.Survey(ctx, t.plan, t.alsoRestored())
	if err != nil {
		return err
	}
	if len(foreign) > 0 {
		return volume.Occupancy{Foreign: foreign}.Refusal()
	}
	if len(found) == 0 && t.plan.Files() > 0 {
		return nil
	}
	if err := t.volume.OpenTarget(); err != nil {
		if len(found) == 0 && errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return fault.NotWritable(err)
	}
	if err := t.proveFiles(ctx, found); err != nil {
		return err
	}
	t.whole = t.isWhole()
	return nil
}

// isWhole tells that nothing is left to do on a volume whose files are proven, and if so
// enters all of it into the ledger.
func (t *transfer) isWhole() bool {
	if len(t.proven) < t.plan.Files() || !t.volume.OwnersAreSet(t.plan, t.request.Files) ||
		t.attributes != nil && !t.attributes.IsDone() {
		return false
	}
	for _, e := range t.plan.Entries.All() {
		if !e.IsDir() {
			continue
		}
		if info, err := t.volume.Data.Lstat(e.Path[:len(e.Path)-1]); err != nil || !info.IsDir() {
			return false
		}
	}
	for i, e := range t.plan.Entries.All() {
		if e.IsDir() {
			t.ledger.Verified(i, proof.ByExistence, plan.Identity{}, true)
		} else {
			t.ledger.Verified(i, t.proven[i].by, t.proven[i].file, true)
		}
	}
	return true
}

func (t *transfer) proveFiles(ctx context.Context, found []int) error {
	if err := t.volume.Sync(); err != nil {
		return err
	}
	proven := make(map[int]provenFile, len(found))
	var mu sync.Mutex
	var failed error
	source.Parallel(source.StatWorkers, len(found), func(n int) {
		mu.Lock()
		over := failed != nil || ctx.Err() != nil
		mu.Unlock()
		if over {
			return
		}
		by, file, err := t.compareCold(ctx, found[n], t.prover.ExpectContent)
		mu.Lock()
		defer mu.Unlock()
		if err == nil && by != proof.BySize {
			proven[found[n]] = provenFile{by: by, file: file}
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
	name := plan.Quote(path.Join(t.volume.Target, t.plan.Entries.At(i).Path))
	switch {
	case err == nil:
		return volume.NotEmpty("S3 tells nothing that proves the content of " + name)
	case errors.Is(err, fault.ErrDiffers):
		return volume.NotEmpty(name + " is not what its object holds")
	}
	return fmt.Errorf("compare %s: %w", name, err)
}

// whose reads the header of the journal. It names the claim where that is another one.
func whose(v *volume.Volume, claim string) (owner volume.Ownership, other string, err error) {
	h, err := ledger.ReadHeader(v.Root)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return volume.Nobodys, "", nil
	case errors.Is(err, ledger.ErrNoHeader):
		return volume.Somebody, "", nil
	case err != nil:
		return volume.Nobodys, "", fmt.Errorf("read the journal: %w", err)
	case h.Claim != claim:
		return volume.Anothers, h.Claim, nil
	}
	return volume.Ours, "", nil
}
