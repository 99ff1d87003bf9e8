// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// outcome is what became of a file.
type outcome struct {
	gone    bool // It is not there any more, and is no part of the export.
	changed bool // It changed while it was read, twice: the object may be a mixture.
	object  object
}

// atOnce in bytes is up to where a file is read into memory, once, instead of twice.
const atOnce = 256 << 10

// tries is how often a file is read. One that has changed is read again at once; the second time it is
// taken as it came, unless S3 or its length says that it cannot be.
const tries = 4

// sendFile sends one file. The entry becomes what it was when it was sent. Look is as for mustBeNew.
func (x *export) sendFile(ctx context.Context, e *manifest.Entry, look bool) (outcome, error) {
	var err error
	for try := 1; try <= tries; try++ {
		var o outcome
		if o, err = x.sendOnce(ctx, e, try > 1, look || try > 1); err == nil {
			return o, nil
		}
		if !errors.Is(err, errChanged) && !errors.Is(err, errShrank) || ctx.Err() != nil {
			return o, x.describe(*e, err)
		}
		x.Log("%s changed while it was read; it is read again", plan.Quote(e.Path))
	}
	return outcome{}, fault.New(
		wire.FileChanged,
		"file %s changed each of the %d times that it was read: %v; the next attempt "+
			"reads it again, and an export of a snapshot is not disturbed",
		plan.Quote(e.Path),
		tries,
		err,
	).Because(
		err,
	)
}

// sendOnce reads the file once. A change is an error unless it is to be taken.
func (x *export) sendOnce(ctx context.Context, e *manifest.Entry, takeChanged, look bool) (outcome, error) {
	f, before, err := x.tree.open(e.Path)
	if isGone(err) {
		return outcome{gone: true}, nil
	}
	if err != nil {
		return outcome{}, err
	}
	defer func() { _ = f.Close() }()
	now, _ := entryOf(e.Path, before)
	now.XAttrs = e.XAttrs
	*e = now
	isNew, err := x.mustBeNew(ctx, *e, look)
	if err != nil {
		return outcome{}, err
	}
	var o outcome
	settled := func() error {
		var after unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &after); err != nil {
			return fmt.Errorf("stat: %w", err)
		}
		o.changed = plan.IdentityOf(&before) != plan.IdentityOf(&after)
		if o.changed && !takeChanged {
			return errChanged
		}
		if isNew && !x.unconditional.Load() {
			return nil // S3 sees to it.
		}
		_, err := x.mustBeNew(ctx, *e, true) // Parts may have taken hours.
		return err
	}
	o.object, err = x.sendContent(ctx, f, *e, isNew, settled)
	return o, err
}

// sendContent sends a file. One that is sent once more may be there of the first time.
func (x *export) sendContent(
	ctx context.Context,
	f *os.File,
	e manifest.Entry,
	isNew bool,
	settled func() error,
) (object, error) {
	key := x.key(e)
	c := content{from: f, size: e.Size}
	if e.Size >= smallestPart {
		n := note{
			Key: key, Inode: e.Inode, Size: e.Size, ModTime: e.ModTime, Volume: x.request.Volume.Temporary, isNew: isNew,
		}
		return x.multipart(ctx, x.home.note(x.options.Run, key), n, c, x.putOptions(), settled)
	}
	if e.Size <= atOnce {
		text := make([]byte, e.Size)
		if n, err := f.ReadAt(text, 0); int64(n) < e.Size {
			if errors.Is(err, io.EOF) {
				err = errShrank
			}
			return object{}, err
		}
		if err := settled(); err != nil {
			return object{}, err // Before anything of it is in S3.
		}
		c.from = bytes.NewReader(text)
		result, err := x.putOnce(ctx, key, c, x.putOptions(), isNew)
		return x.sentWhole(result, c.size, err)
	}
	result, err := x.putOnce(ctx, key, c, x.putOptions(), isNew)
	if err == nil {
		err = settled()
	}
	return x.sentWhole(result, c.size, err)
}

func (x *export) sentWhole(result object, size int64, err error) (object, error) {
	if err == nil {
		x.Tally.SentBytes.Add(size)
		x.Tally.Bytes.Add(size)
	}
	return result, err
}

// describe says which file an error is about.
func (x *export) describe(e manifest.Entry, err error) error {
	if _, onDisk := errors.AsType[*os.PathError](err); onDisk && isDenied(err) {
		return denied(Examples{Count: 1, First: []string{
			plan.Quote(e.Path) + " (of user " + strconv.FormatUint(uint64(e.UID), 10) + ")",
		}})
	}
	if fault.ReasonOf(err) != "" {
		return err
	}
	return fmt.Errorf("send %s: %w", plan.Quote(e.Path), x.refused(err))
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) }
