// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// last is the manifest of a complete run. None has no entries.
type last struct {
	manifest.Manifest

	unknown bool // There is one, and it cannot be read. It may list whatever.
}

// settling is how much older than the scan a file's last change must be for its time to be believed:
// one that is changed twice within a tick of the clock shows one time for both.
const settling = 2 * time.Second

// unchanged tells that a file of the volume is the very one that the manifest lists.
func (l last) unchanged(e manifest.Entry, claim string) (manifest.Entry, bool) {
	before, ok := l.Find(e.Path)
	return before, ok && l.Claim == claim && before.Type == manifest.File && e.Inode != 0 && before.Inode == e.Inode &&
		before.Size == e.Size && before.ModTime == e.ModTime && before.ChangeTime == e.ChangeTime &&
		before.ModTime < l.Created.Add(-settling).UnixNano()
}

// errFound ends a listing.
var errFound = errors.New("found")

// IsBegun tells that an export below a prefix has left something of its own.
func IsBegun(ctx context.Context, r wire.Request, s Setup) (bool, error) {
	prefix := plan.ListPrefix(r.Source) + wire.JournalDir + "/"
	err := newSender(s, r).each(ctx, prefix, func(minio.ObjectInfo) error { return errFound })
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}

// lastRun is what an export knows of runs before it.
type lastRun struct {
	here   last   // Of the run before, below the same prefix.
	aside  bool   // It is not in its place any more: a run has begun to write since, this one or another.
	there  last   // Of the last complete run, below the prefix to copy from.
	inWay  bool   // In the place of our manifest is that of another run, or one of ours that says what is not so.
	tag    string // The entity tag of that manifest.
	isOurs bool   // This run is complete: here is its own manifest, and everything that it lists.
}

// lookBack reads the manifests of the runs before. One that cannot be used counts for nothing: every
// file is compared then, and nothing is deleted. One that is damaged ends the attempt, see readHere.
func (x *export) lookBack(ctx context.Context) error {
	if x.options.Key != "" {
		return nil
	}
	m, tag, found, err := x.readHere(ctx, x.home.key(manifest.Key))
	if err != nil {
		return err
	}
	x.last.tag = tag
	if found && m.Run == x.options.Run {
		if err := x.refuseOther(m.Claim); err != nil {
			return err
		}
		if x.last.isOurs, err = x.isComplete(ctx, m.Manifest); err != nil {
			return err
		}
	}
	x.last.inWay = found && !x.last.isOurs
	if !found {
		if m, _, x.last.aside, err = x.readHere(ctx, x.home.key(manifest.PreviousKey)); err != nil {
			return err
		}
	}
	x.last.here = m
	if x.options.CopyFrom == "" || x.last.isOurs {
		return nil
	}
	return x.lookThere(ctx)
}

// lookThere reads the manifest of the run to copy from. Without it, everything is sent.
func (x *export) lookThere(ctx context.Context) error {
	m, _, found, err := x.readOld(ctx, x.options.CopyFrom+manifest.Key)
	forbidden := err != nil && fault.ReasonOf(err) == "" && fault.Rejected(err, http.StatusForbidden) // Or archived.
	if forbidden || errors.Is(err, errDamaged) {
		x.Log("the manifest of the last run cannot be read: %v", err)
		m, found, err = last{}, false, nil
	}
	if err == nil && !found {
		x.Log("there is no complete run below %s to copy from; every file is sent", plan.Quote(x.options.CopyFrom))
	}
	x.last.there = m
	return err
}

// readHere fails where a manifest is damaged, as on its way: it may come right to the next attempt. This one would take
// its place, and with it would go what a run before has left there to be deleted, or that this very run is complete.
func (x *export) readHere(ctx context.Context, key string) (last, string, bool, error) {
	m, tag, found, err := x.readOld(ctx, key)
	if errors.Is(err, errDamaged) {
		err = fault.New(wire.VerificationFailed, "manifest %s is damaged: %v, so that it was not replaced; look at the "+
			"network and the storage of S3. If it stays so, export to another prefix, or remove it by hand: all files are "+
			"compared then, and of what it lists nothing is deleted", plan.Quote(key), errDamaged).Because(err)
	}
	return m, tag, found, err
}

func (x *export) readOld(ctx context.Context, key string) (last, string, bool, error) {
	m, tag, found, err := x.readManifest(ctx, key)
	if errors.Is(err, errUnreadable) && !errors.Is(err, errDamaged) {
		x.Log("%v; files are compared instead", err)
		return last{unknown: true}, tag, true, nil
	}
	return last{Manifest: m}, tag, found, err
}
