// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// Staged is a file under a temporary name beside its place:
//
//	.s3populator-RUN-PROCESS-NUMBER
//
// It is short whatever the name of its place is, and no other process ever has the same. Exactly one of
// Publish and Discard is called in the end.
type Staged struct {
	File *os.File

	in   *InUse
	dir  *os.File
	path string // Of the place.
	temp string
	// replaces is the file that has the place; nil for none.
	replaces *unix.Stat_t
}

// Stage makes a temporary file for a path, and the directories that lead to it. It fails where the file
// could not take the place.
func (u *InUse) Stage(name string) (*Staged, error) {
	d, err := u.makeDirectory(path.Dir(name))
	if err != nil {
		return nil, err
	}
	s := &Staged{in: u, dir: d, path: name, temp: u.own + strconv.FormatInt(u.next.Add(1), 10)}
	if s.replaces, err = s.look(); err != nil {
		_ = d.Close()
		return nil, err
	}
	const flags = unix.O_RDWR | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	if s.File, err = openAt(d, s.temp, name, flags, 0o600); err != nil {
		_ = d.Close()
		return nil, err
	}
	u.mu.Lock()
	u.staged[s] = true
	u.mu.Unlock()
	if err := s.dress(); err != nil {
		s.Discard()
		return nil, err
	}
	return s, nil
}

// look says what has the place; nil for nothing.
func (s *Staged) look() (*unix.Stat_t, error) {
	stat, err := statAt(s.dir, path.Base(s.path), s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil //nolint:nilnil // Nothing is there.
	case err != nil:
		return nil, err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, Obstacle(s.path, stat.Mode, false)
	}
	return &stat, nil
}

// dress gives the file the mode of the one that it replaces, and its owner as far as the mover may. A new one
// has those of spec.files.
func (s *Staged) dress() error {
	mode, old := uint32(fileMode&^Umask), s.replaces
	switch {
	case old != nil:
		mode = old.Mode & uint32(fs.ModePerm)
	case s.in.files.Mode != nil:
		mode = *s.in.files.Mode & uint32(fs.ModePerm)
	}
	if err := s.chmod(mode); err != nil { // Before the owner: the mover is the owner still.
		return err
	}
	if old == nil {
		return setFiles(s.File, s.path, s.in.files, nil)
	}
	is, err := s.chown(old)
	if err != nil {
		return err
	}
	if keepsReaders(mode, is.Uid == old.Uid || old.Uid == 0, is.Gid == old.Gid) { // Root reads whatever it likes.
		return nil
	}
	return fault.New(wire.VolumeNotWritable,
		"%s belongs to user %d and group %d and has mode %04o; a file of the mover, which runs as user %d and may not give "+
			"it away, could not be read by them: set spec.mover.podSecurityContext.runAsUser to %d, or let others read the file",
		plan.Quote(s.path), old.Uid, old.Gid, mode, os.Getuid(), old.Uid)
}

// chmod is content with a file system that knows no modes, if the file may be used as is wanted.
func (s *Staged) chmod(mode uint32) error {
	err := s.File.Chmod(fs.FileMode(mode))
	if err == nil {
		return nil
	}
	var is unix.Stat_t
	if s.replaces == nil && s.in.files.Mode != nil || stat(int(s.File.Fd()), s.path, &is) != nil || is.Mode&mode != mode {
		return notModed(s.path, mode, err)
	}
	return nil
}

// chown tries, and says what the file has then.
func (s *Staged) chown(want *unix.Stat_t) (is unix.Stat_t, err error) {
	fd := int(s.File.Fd())
	if err := stat(fd, s.path, &is); err != nil || is.Uid == want.Uid && is.Gid == want.Gid {
		return is, err
	}
	if unix.Fchown(fd, int(want.Uid), int(want.Gid)) != nil {
		_ = unix.Fchown(fd, -1, int(want.Gid)) // A member of the group may give it to that.
	}
	err = stat(fd, s.path, &is)
	return is, err
}

// keepsReaders tells that whoever may read a file of this mode may still do so once it has another
// owner or group. It is pure.
func keepsReaders(mode uint32, sameOwner, sameGroup bool) bool {
	const group, others = 0o040, 0o004
	switch {
	case sameOwner && sameGroup, mode&others != 0:
		return true
	case sameOwner: // Another group.
		return mode&group == 0
	case sameGroup: // The owner of old is mostly a member of it.
		return mode&group != 0
	}
	return false
}

// Identity is that of the file as it is now.
func (s *Staged) Identity() (plan.Identity, error) {
	var is unix.Stat_t
	if err := stat(int(s.File.Fd()), s.path, &is); err != nil {
		return plan.Identity{}, err
	}
	return plan.IdentityOf(&is), nil
}

// Publish makes the file durable and then renames it over its place: whoever opens that path has the file that was
// there, or all of this one. Proven is what was compared with the object: another file than that is not published. The
// identity is what was found under the temporary name once the file was closed. The name itself is durable after a
// Sync. When it fails, the file is to be discarded.
func (s *Staged) Publish(proven plan.Identity) (plan.Identity, error) {
	if err := s.dressAnew(); err != nil {
		return plan.Identity{}, err
	}
	var written unix.Stat_t
	if err := errors.Join(s.File.Sync(), stat(int(s.File.Fd()), s.path, &written), s.File.Close()); err != nil {
		return plan.Identity{}, fmt.Errorf("write %s to its device: %w", plan.Quote(s.path), err)
	}
	if plan.IdentityOf(&written) != proven {
		return plan.Identity{}, fmt.Errorf("%w: something else wrote to it", fault.ErrDiffers)
	}
	at, err := s.in.directory(path.Dir(s.path)) // Whoever has moved the directory keeps what is in it.
	if err != nil {
		return plan.Identity{}, fmt.Errorf("%w: its directory was moved", fault.ErrDiffers)
	}
	defer func() { _ = at.Close() }()
	found, err := statAt(at, s.temp, s.path) // A network file system may know the time of the last change only now.
	if err != nil || found.Ino != written.Ino || found.Size != written.Size {
		return plan.Identity{}, errors.Join(fmt.Errorf("%w: something else changed it", fault.ErrDiffers), err)
	}
	if err := s.rename(at); err != nil {
		return plan.Identity{}, err
	}
	if s.replaces != nil && (s.replaces.Uid != found.Uid || s.replaces.Gid != found.Gid) {
		s.in.OtherOwners.Add(1)
	}
	s.in.touch(path.Dir(s.path))
	s.forget()
	return plan.IdentityOf(&found), nil
}

// rename asks right before it whether the volume is this mover's: another one may have brought a later file.
func (s *Staged) rename(at *os.File) error {
	if err := s.in.Owned(); err != nil {
		return err
	}
	fd := int(at.Fd())
	if err := unix.Renameat(fd, s.temp, fd, path.Base(s.path)); err != nil {
		return &fs.PathError{Op: "replace", Path: plan.Quote(s.path), Err: err}
	}
	return nil
}

// dressAnew follows what has become of the place since the file was staged.
func (s *Staged) dressAnew() error {
	before := s.replaces
	var err error
	if s.replaces, err = s.look(); err != nil {
		return err
	}
	now := s.replaces
	if (before == nil) == (now == nil) &&
		(now == nil || before.Mode == now.Mode && before.Uid == now.Uid && before.Gid == now.Gid) {
		return nil
	}
	return s.dress()
}

// Discard removes the file.
func (s *Staged) Discard() {
	_ = s.File.Close()
	_ = unix.Unlinkat(int(s.dir.Fd()), s.temp, 0) // The next attempt of the run looks for it, too.
	s.forget()
}

func (s *Staged) forget() {
	_ = s.dir.Close()
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	delete(s.in.staged, s)
}

// DiscardAll removes every file that was neither published nor discarded.
func (u *InUse) DiscardAll() {
	u.mu.Lock()
	left := make([]*Staged, 0, len(u.staged))
	for s := range u.staged {
		left = append(left, s)
	}
	u.mu.Unlock()
	for _, s := range left {
		s.Discard()
	}
}
