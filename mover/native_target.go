// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/volume"
)

// nativeTarget makes the files of a volume.
type nativeTarget struct {
	volume  *volume.Volume
	journal *ledger.Journal
}

var nativeFiles = sync.Pool{New: func() any { return new(nativeFile) }}

// Create implements engine.Target.
func (t *nativeTarget) Create(task engine.Task) (engine.File, error) {
	return replacing(t.volume, t.journal, task.Path, func() (engine.File, error) { return t.createNew(task) })
}

// createNew makes a file, or goes on with one of which something is present. The error is fs.ErrExist where there is
// another one.
func (t *nativeTarget) createNew(task engine.Task) (engine.File, error) {
	if task.Size < preallocateFrom {
		return t.createSmall(task)
	}
	return t.createLaidOut(task)
}

// createLaidOut makes a file whose bytes come in any order, or goes on with one, which may be another mover's by now.
func (t *nativeTarget) createLaidOut(task engine.Task) (engine.File, error) {
	if len(task.Present) > 0 {
		if err := t.journal.Owned(); err != nil {
			return nil, err //nolint:wrapcheck // It is a failure.
		}
	}
	f, err := t.volume.Create(task.Path, task.Size, len(task.Present) > 0)
	if err != nil {
		return nil, err //nolint:wrapcheck // The caller does.
	}
	n, _ := nativeFiles.Get().(*nativeFile)
	n.volume, n.file, n.path = t.volume, f, task.Path
	if err := preallocate(f, task); err != nil {
		n.Abandon()
		return nil, err
	}
	return n, nil
}

const (
	// preallocateFrom is the size in bytes from where on a file is laid out before it is
	// written: ranges that arrive in any order would scatter it.
	preallocateFrom = 8 << 20
	// writeBehind is after how many bytes the kernel is told to begin to write a file, so
	// that the sync in the end has little left to do.
	writeBehind = 8 << 20
)

// preallocate lays a file out where the file system can. In memory there is no layout, and to allocate is to
// clear every page before it is written.
func preallocate(f *os.File, task engine.Task) error {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &s); err == nil && s.Type == unix.TMPFS_MAGIC {
		return nil
	}
	if err := lost(unix.Fallocate(int(f.Fd()), 0, 0, task.Size)); err != nil {
		return fmt.Errorf("lay out %s: %w", plan.Quote(task.Path), err)
	}
	return nil
}

// lost keeps the errors by which a volume says that it cannot hold what it is given. Others say
// that a file system cannot do what was only a favour.
func lost(err error) error {
	for _, e := range []unix.Errno{unix.EIO, unix.ENOSPC, unix.EDQUOT, unix.EROFS} {
		if errors.Is(err, e) {
			return err
		}
	}
	return nil
}

// syncFileRange is unix.SyncFileRange; a test refuses in its place.
var syncFileRange = unix.SyncFileRange

// nativeFile is a file that is written.
type nativeFile struct {
	volume *volume.Volume
	file   *os.File
	path   string
	// writing is held by one writer of the file at a time: the kernel lets in no other one either,
	// and those that wait there keep a processor busy.
	writing sync.Mutex
}

func (f *nativeFile) writeAt(p []byte, at int64) (int, error) {
	f.writing.Lock()
	defer f.writing.Unlock()
	return f.file.WriteAt(p, at) //nolint:wrapcheck // The caller says what failed.
}

func (f *nativeFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := f.writeAt(p, at)
	if err != nil {
		return n, fmt.Errorf("write to the volume: %w", err)
	}
	if end := at + int64(n); at/writeBehind != end/writeBehind {
		from := at / writeBehind * writeBehind
		length := end/writeBehind*writeBehind - from
		if err := lost(syncFileRange(int(f.file.Fd()), from, length, unix.SYNC_FILE_RANGE_WRITE)); err != nil {
			return n, fmt.Errorf("write to the volume: %w", err)
		}
	}
	return n, nil
}

func (f *nativeFile) ReadAt(p []byte, at int64) (int, error) {
	return f.file.ReadAt(p, at) //nolint:wrapcheck // The engine says what failed.
}

func (f *nativeFile) Commit() (engine.Identity, error) {
	v, file, path := f.volume, f.file, f.path
	f.free()
	return commit(v, file, path)
}

func (f *nativeFile) Abandon() {
	file := f.file
	f.free()
	_ = file.Close()
}

func (f *nativeFile) free() {
	f.volume, f.file, f.path = nil, nil, ""
	nativeFiles.Put(f)
}
