// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/volume"
)

// smallFile is a file that one connection writes from its start to its end. It is a descriptor and
// nothing else: half of what a small object costs are system calls.
type smallFile struct {
	volume *volume.Volume
	fd     int
	path   string
}

var smallFiles = sync.Pool{New: func() any { return new(smallFile) }}

// createSmall makes a file. The error is fs.ErrExist where one is there.
func (t *nativeTarget) createSmall(task engine.Task) (engine.File, error) {
	fd, err := t.volume.CreateSmall(task.Path)
	if err != nil {
		return nil, err //nolint:wrapcheck // The caller does.
	}
	f, _ := smallFiles.Get().(*smallFile)
	f.volume, f.fd, f.path = t.volume, fd, task.Path
	return f, nil
}

func (f *smallFile) WriteAt(p []byte, at int64) (n int, err error) {
	for n < len(p) {
		m, err := unix.Pwrite(f.fd, p[n:], at+int64(n))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return n, fmt.Errorf("write to the volume: %w", err)
		case m == 0:
			return n, fmt.Errorf("write to the volume: %w", io.ErrShortWrite)
		}
		n += m
	}
	return n, nil
}

// ReadAt implements engine.File. Nothing of a small object is there when it is fetched.
func (*smallFile) ReadAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }

// Commit implements engine.File. As of every file that is committed, what is found under the path after
// it was closed is what counts: see commit.
func (f *smallFile) Commit() (engine.Identity, error) {
	v, path := f.volume, f.path
	var written unix.Stat_t
	err := unix.Fstat(f.fd, &written)
	if err := errors.Join(err, f.close()); err != nil {
		return plan.Identity{}, fault.NotWritable(err)
	}
	found, err := v.Leads(path)
	return sameFile(path, &written, &found, err)
}

// sameFile is the identity of a file that was written, if that is what is found under its path.
func sameFile(path string, written, found *unix.Stat_t, err error) (plan.Identity, error) {
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && (found.Ino != written.Ino || found.Dev != written.Dev):
		return plan.Identity{}, fmt.Errorf("%w: another file took its place", fault.ErrDiffers)
	case err != nil:
		return plan.Identity{}, fmt.Errorf("look at %s: %w", plan.Quote(path), err)
	}
	return plan.IdentityOf(found), nil
}

func (f *smallFile) Abandon() { _ = f.close() }

// close gives the file back to the pool: it is of no use any more.
func (f *smallFile) close() error {
	fd := f.fd
	f.volume, f.fd, f.path = nil, -1, ""
	smallFiles.Put(f)
	if err := unix.Close(fd); err != nil && !errors.Is(err, unix.EINTR) { // Linux has closed it then.
		return fmt.Errorf("write to the volume: %w", err)
	}
	return nil
}
