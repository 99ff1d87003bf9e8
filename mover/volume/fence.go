// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// fenceStart begins the names of fences. A mover of an import has one file of its own on the volume,
//
//	.s3populator/import.CLAIM.RUN-PROCESS
//
// and goes on only while that is there. No two movers have the same, so that whoever ends removes no other's.
const fenceStart = "import."

// moverName is what the end of a fence's name is like: no other file in that directory is removed.
var moverName = regexp.MustCompile(`^[0-9A-Za-z-]+-[0-9a-f]{8}$`)

// TakeOver ends the movers that began to import into this claim before, and may still run on a node that was cut off:
// it makes a fence for this one, and then removes those of others. Two that do so at once may end each other, and
// never both go on. Movers of other claims, which may share the volume, go on. Where the directory of fences cannot be
// written, Unfenced says why afterwards.
func (u *InUse) TakeOver(claim string) error {
	const most = 100 // Whoever ends removes the directory, which may be between two steps of ours.
	start := fenceStart + claim + "."
	for try := 1; ; try++ {
		err := u.takeOver(start)
		if try < most && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return err
	}
}

func (u *InUse) takeOver(start string) error {
	d, err := u.openFences()
	if err != nil {
		return u.excuse(err)
	}
	defer func() { _ = d.Close() }()
	if err := u.excuse(u.makeFence(d, start)); err != nil {
		return err
	}
	return u.excuse(u.removeOtherFences(d, start))
}

// excuse notes that fences cannot be written by this user, or not now. The import needs no more of the volume's root.
func (u *InUse) excuse(err error) error {
	for _, why := range []error{
		fs.ErrPermission, unix.EROFS, unix.ENOSPC, unix.EDQUOT, unix.ENOTDIR, unix.ELOOP, // A user's file or link.
	} {
		if errors.Is(err, why) {
			u.Unfenced = err
			return nil
		}
	}
	return err
}

func (u *InUse) openFences() (*os.File, error) {
	err := unix.Mkdirat(int(u.Dir.Fd()), wire.JournalDir, DirMode)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, &fs.PathError{Op: "make directory", Path: plan.Quote(wire.JournalDir), Err: err}
	}
	u.left = true
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	return openAt(u.Dir, wire.JournalDir, wire.JournalDir, flags, 0)
}

// makeFence looks whether the fence can be found again: one that cannot would end its own mover.
func (u *InUse) makeFence(d *os.File, start string) error {
	name := start + strings.TrimSuffix(strings.TrimPrefix(u.own, temporaryStart), "-")
	path := wire.JournalDir + "/" + name
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	f, err := openAt(d, name, path, flags, fileMode)
	if err != nil {
		return err
	}
	u.fence = path
	if err = errors.Join(f.Close(), u.Owned()); err != nil {
		_ = unix.Unlinkat(int(d.Fd()), name, 0)
		u.fence = ""
	}
	return err
}

// removeOtherFences is not done before the names are known to be gone: a fence that comes back with the server of a
// volume would let its mover go on.
func (u *InUse) removeOtherFences(d *os.File, start string) error {
	names, err := fencesIn(d)
	if err != nil {
		return err
	}
	before := len(u.ended)
	for _, name := range names {
		mover, ok := strings.CutPrefix(name, start)
		path := wire.JournalDir + "/" + name
		if !ok || !moverName.MatchString(mover) || path == u.fence {
			continue
		}
		if e := unix.Unlinkat(int(d.Fd()), name, 0); e != nil && !errors.Is(e, unix.ENOENT) {
			err = errors.Join(err, &fs.PathError{Op: "remove", Path: plan.Quote(path), Err: e})
			continue
		}
		u.ended = append(u.ended, temporaryStart+mover+"-")
	}
	if len(u.ended) == before {
		return err
	}
	return errors.Join(err, syncOpen(d))
}

// fencesIn opens the directory anew: some file systems show none of what was made since it was opened, and two that
// begin at once must not miss each other.
func fencesIn(d *os.File) ([]string, error) {
	f, err := openAt(d, ".", wire.JournalDir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("read directory %s: %w", plan.Quote(wire.JournalDir), err)
	}
	return names, nil
}

// Owned fails when a later mover of the claim has taken the volume over. The fence is opened, and not only looked at:
// a network file system asks its server then, and does not answer from memory.
func (u *InUse) Owned() error {
	if u.fence == "" {
		return nil
	}
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := unix.Openat(int(u.Dir.Fd()), u.fence, flags, 0)
	for errors.Is(err, unix.EINTR) {
		fd, err = unix.Openat(int(u.Dir.Fd()), u.fence, flags, 0)
	}
	switch {
	case err == nil:
		_ = unix.Close(fd)
		return nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP),
		errors.Is(err, unix.ESTALE):
		return fault.Fenced("its file " + u.fence + " is gone")
	}
	return &fs.PathError{Op: "look for", Path: plan.Quote(u.fence), Err: err}
}

// leave removes the fence, and the directory of fences where that was the last.
func (u *InUse) leave() {
	if !u.left {
		return
	}
	if u.fence != "" {
		_ = unix.Unlinkat(int(u.Dir.Fd()), u.fence, 0) // The next import into the claim looks for it, too.
	}
	if unix.Unlinkat(int(u.Dir.Fd()), wire.JournalDir, unix.AT_REMOVEDIR) == nil {
		_ = syncOpen(u.Dir)
	}
}
