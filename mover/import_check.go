// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// refuseImport ends a mover that is asked for what no import can do.
func refuseImport(r wire.Request) error {
	switch {
	case r.Transfer.Engine == wire.EngineMC:
		return fault.New(wire.RequestRejected, "spec.transfer.engine: MC is not for an import into a volume that may be in "+
			"use: mc writes files without comparing them first; set Native or Auto")
	case r.Policy.RestoreAttributes:
		return fault.New(wire.RequestRejected, "spec.restoreAttributes is for the population of a new claim, and not for an "+
			"import: files that are replaced keep their modes; remove it")
	case r.Volume.Mode != wire.Filesystem:
		return fault.New(wire.RequestRejected, "an import is for Filesystem volumes, and this one is %q", r.Volume.Mode)
	}
	return nil
}

// refuseUnfinished ends an import into a volume of which a population has not said that it is whole. Its
// directory may be another user's.
func refuseUnfinished(u *volume.InUse) error {
	_, err := u.Stat(ledger.JournalName)
	var other *volume.InTheWay
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.As(err, &other): // A journal is in a directory of ours.
		return nil
	case err != nil && !errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("look for a journal: %w", err)
	}
	return fault.New(wire.VolumeUnfinished,
		"the volume carries the journal of a population that has not ended (%s): what is on it may not be whole. Nothing on "+
			"it was changed. Let the population end; if nothing populates it any more, create the claim again, or empty it",
		ledger.JournalName)
}

// refuseEmptyImport is refuseEmpty, and more: a prefix that was misspelt must never empty a directory, nor one below
// which markers of directories are all that is left.
func (l *listing) refuseEmptyImport(ctx context.Context) error {
	if err := l.refuseEmpty(ctx); err != nil || l.plan.Files() > 0 || !l.request.Import.DeleteExtra {
		return err
	}
	return fault.New(
		wire.SourceEmpty,
		"nothing is selected below prefix %s of bucket %q, and with spec.deleteExtra an import would remove everything below "+
			"its target; correct spec.prefix, spec.include and spec.exclude, or remove spec.deleteExtra",
		plan.Quote(plan.ListPrefix(l.request.Source)),
		l.request.Source.Bucket,
	)
}

// inspect looks at every place, and returns the files that may be what their objects are.
func (t *importing) inspect() (there []int, err error) {
	inTheWay := named{}
	for i, e := range t.plan.Entries.All() {
		stat, err := t.inUse.Stat(t.at(i))
		if err == nil {
			err = isPlace(t.at(i), e, stat.Mode)
		}
		var conflict *volume.InTheWay
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case errors.As(err, &conflict):
			inTheWay.add(conflict.Error())
		case err != nil:
			return nil, t.explainVolume(t.at(i), err)
		case !e.IsDir() && stat.Size == e.Size:
			there = append(there, i)
		}
	}
	if inTheWay.count > 0 {
		return nil, pathConflict(inTheWay)
	}
	return there, nil
}

// named counts what a message is about, and keeps the first few names of it.
type named struct {
	count int
	first []string
}

func (n *named) add(name string) {
	n.count++
	if len(n.first) < examples && !slices.Contains(n.first, name) {
		n.first = append(n.first, name)
	}
}

func (n *named) String() string { return strings.Join(n.first, ", ") }

// examples bounds the names in a message.
const examples = 3

// isPlace tells whether an entry may go where something is.
func isPlace(name string, e plan.Entry, mode uint32) error {
	isDir := mode&unix.S_IFMT == unix.S_IFDIR
	if isDir == e.IsDir() && (isDir || mode&unix.S_IFMT == unix.S_IFREG) {
		return nil
	}
	return volume.Obstacle(name, mode, e.IsDir())
}

func pathConflict(inTheWay named) *fault.Failure {
	return fault.New(wire.PathConflict,
		"%d of the files to import have something in their way: %s; an import follows no link and replaces nothing but "+
			"files by files. Move it away, or set spec.targetPath to another directory", inTheWay.count, inTheWay.String())
}

// checkAccess looks for directories that the mover may not write to before it fetches anything.
func (t *importing) checkAccess() error {
	refused, last := named{}, ""
	for _, i := range t.ledger.Todo() {
		dir := path.Dir(t.at(i))
		if dir == last {
			continue
		}
		last = dir
		err := t.inUse.CanWrite(dir)
		if errors.Is(err, fs.ErrPermission) {
			refused.add(plan.Quote(dir))
		} else if err != nil {
			return t.explainVolume(dir, err)
		}
	}
	if refused.count == 0 {
		return nil
	}
	return fault.New(wire.VolumeNotWritable,
		"user %d, which the mover runs as, may not write to %d directories: %s; nothing was changed. Set "+
			"spec.mover.podSecurityContext to a user or group that may", os.Getuid(), refused.count, refused.String())
}

// room is what there is, and what the files take that are not verified.
func (t *importing) room() volume.Room {
	dirs := int64(0)
	t.plan.EachDir(func(dir string) {
		if _, err := t.inUse.Stat(t.below(dir)); err == nil {
			dirs++
		}
	})
	r, err := volume.ReadRoom(&volume.Volume{Dir: t.inUse.Dir}, t.plan, dirs, t.ledger.Present)
	if err != nil {
		t.log.printf("%v", err) // Then the volume says so when it is full.
	}
	return r
}

// explainVolume says what the volume refused. What S3 says does not come here.
func (t *importing) explainVolume(name string, err error) error {
	var conflict *volume.InTheWay
	switch {
	case err == nil, fault.ReasonOf(err) != "":
		return err
	case errors.As(err, &conflict):
		return pathConflict(named{1, []string{conflict.Error()}}).Because(err)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return t.room().Full(err)
	case errors.Is(err, fs.ErrPermission):
		return fault.New(wire.VolumeNotWritable,
			"user %d, which the mover runs as, may not write %s: %v; set spec.mover.podSecurityContext to a user or group "+
				"that may", os.Getuid(), plan.Quote(name), fault.Pathless(err)).Because(err)
	case errors.Is(err, unix.EROFS):
		return fault.NotWritable(err)
	}
	return err
}
