// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
)

// attributes gives an entry what the manifest says of it, durably. Those of a link are as durable as its file system
// makes them: a link cannot be synced.
func (r *Restore) attributes(e manifest.Entry, result *Result) error {
	if e.Type == manifest.Link {
		return r.set(e, result)
	}
	return r.volume.Durably(r.volume.Data, e.Path, func() error { return r.set(e, result) })
}

// set gives an entry what the manifest says of it: extended attributes while it may still be
// written, then the owner, whose change takes bits of the mode away, then the mode, then the time.
func (r *Restore) set(e manifest.Entry, result *Result) error {
	parent, err := r.volume.OpenFile(path.Dir(e.Path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("restore %s: %w", plan.Quote(e.Path), err)
	}
	defer func() { _ = parent.Close() }()
	at, name := int(parent.Fd()), path.Base(e.Path)
	if e.Type != manifest.Link {
		if err := r.setAttributes(e, result); err != nil {
			return err
		}
	}
	var is unix.Stat_t
	if err := unix.Fstatat(at, name, &is, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("restore %s: %w", plan.Quote(e.Path), err)
	}
	if err := setOwner(at, name, e, &is, result); err != nil {
		return fmt.Errorf("restore the owner of %s: %w", plan.Quote(e.Path), err)
	}
	if e.Type != manifest.Link {
		if err := r.setMode(e, is, result); err != nil {
			return err
		}
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(e.ModTime)}
	if err := count(unix.UtimesNanoAt(at, name, times, unix.AT_SYMLINK_NOFOLLOW), &result.Modes); err != nil {
		return fmt.Errorf("restore the time of %s: %w", plan.Quote(e.Path), err)
	}
	return nil
}

// setOwner gives an entry its owner and group, and notes which it has then. A mover that may not give files away may
// still give them to a group of its own.
func setOwner(at int, name string, e manifest.Entry, is *unix.Stat_t, result *Result) error {
	const keep = -1
	if is.Uid == e.UID && is.Gid == e.GID {
		return nil
	}
	err := unix.Fchownat(at, name, int(e.UID), int(e.GID), unix.AT_SYMLINK_NOFOLLOW)
	if err == nil {
		is.Uid, is.Gid = e.UID, e.GID
		return nil
	}
	if errors.Is(err, unix.EPERM) && is.Uid != e.UID && is.Gid != e.GID &&
		unix.Fchownat(at, name, keep, int(e.GID), unix.AT_SYMLINK_NOFOLLOW) == nil {
		is.Gid = e.GID
	}
	return count(err, &result.Owners)
}

// count notes what the mover may not do, or the file system cannot, and returns other errors.
func count(err error, denied *int64) error {
	for _, e := range cannot {
		if errors.Is(err, e) {
			*denied++
			return nil
		}
	}
	return err
}

// cannot are the errors of a system call that asks for what this user may not do or this file system has not.
var cannot = []error{
	unix.EPERM, unix.EACCES, unix.ENOTSUP, unix.EINVAL, unix.ENOSPC, unix.E2BIG, unix.ERANGE, unix.EOVERFLOW,
}

func (r *Restore) open(e manifest.Entry) (*os.File, error) {
	flags := unix.O_RDONLY
	if e.Type == manifest.Directory {
		flags |= unix.O_DIRECTORY
	}
	f, err := r.volume.OpenFile(e.Path, flags, 0)
	if err != nil {
		return nil, fmt.Errorf("restore %s: %w", plan.Quote(e.Path), fault.NotWritable(err))
	}
	return f, nil
}

// setAttributes sets the extended attributes.
func (r *Restore) setAttributes(e manifest.Entry, result *Result) error {
	if len(e.XAttrs) == 0 {
		return nil
	}
	f, err := r.open(e)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for _, x := range e.XAttrs {
		if err := count(unix.Fsetxattr(int(f.Fd()), string(x.Name), x.Value, 0), &result.Attributes); err != nil {
			return fmt.Errorf("restore an attribute of %s: %w", plan.Quote(e.Path), err)
		}
	}
	return nil
}

// setMode sets the permission bits. A file never gets setuid or setgid for another owner than it had,
// and a directory keeps the setgid that a volume's fsGroup goes by.
func (r *Restore) setMode(e manifest.Entry, is unix.Stat_t, result *Result) error {
	const bits = 0o7777
	want := e.Mode
	switch e.Type {
	case manifest.Directory:
		want |= is.Mode & unix.S_ISGID
	case manifest.File:
		if is.Uid != e.UID {
			want &^= unix.S_ISUID
		}
		if is.Gid != e.GID {
			want &^= unix.S_ISGID
		}
	case manifest.Link:
		return nil
	}
	f, err := r.open(e)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	var now unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &now); err != nil {
		return fmt.Errorf("restore the mode of %s: %w", plan.Quote(e.Path), err)
	}
	if now.Mode&bits == want {
		return nil
	}
	if err := count(unix.Fchmod(int(f.Fd()), want), &result.Modes); err != nil {
		return fmt.Errorf("restore the mode of %s: %w", plan.Quote(e.Path), err)
	}
	return nil
}
