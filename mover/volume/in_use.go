// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// InUse is a mounted file system that others read and write while a mover brings files to it. Paths
// are those from its root on, and "." is the root. No link is ever followed: whoever may write to the volume
// could otherwise lead a mover out of it, or to another place on it.
type InUse struct {
	// Dir is the mount point.
	Dir *os.File
	// EachFile means that a directory has to be synced by itself, see Volume.
	EachFile bool
	// OtherOwners counts files that have another owner or group than those that they replaced.
	OtherOwners atomic.Int64
	// Alone counts directories that were synced by themselves.
	Alone atomic.Int64
	// Unfenced is why no mover that began before could be ended, or none that comes later can end this one; nil where both
	// can be.
	Unfenced error

	device    uint64 // Whatever has another number is mounted below the volume.
	files     wire.Files
	temporary string // What the names of this run's temporary files begin with.
	own       string // The same of this process alone.
	next      atomic.Int64
	fence     string   // The path of this mover's; empty for none.
	ended     []string // What the names of temporary files of movers begin with that this one has ended.
	left      bool     // There is a directory to remove.

	mu      sync.Mutex
	staged  map[*Staged]bool
	touched map[string]bool // Directories that have to be synced, if EachFile is set.
}

// OpenInUse opens the mount point and changes nothing. Run is part of the names of temporary files.
func OpenInUse(mount, run string, files wire.Files) (*InUse, error) {
	dir, err := os.Open(mount) // #nosec G304 -- the mount point.
	if err != nil {
		return nil, fault.NotWritable(err)
	}
	var stat unix.Stat_t
	each, err := syncsEachFile(dir)
	if err := errors.Join(err, unix.Fstat(int(dir.Fd()), &stat)); err != nil {
		_ = dir.Close()
		return nil, fmt.Errorf("look at the volume: %w", err)
	}
	// A name that another process of the run cannot have: it would take the file for its own.
	process := make([]byte, 4)
	_, _ = rand.Read(process) // It never fails.
	temporary := temporaryStart + run + "-"
	return &InUse{
		Dir: dir, EachFile: each, device: stat.Dev, files: files,
		temporary: temporary, own: temporary + hex.EncodeToString(process) + "-",
		staged: map[*Staged]bool{}, touched: map[string]bool{},
	}, nil
}

// Close removes what is staged, and the fence.
func (u *InUse) Close() {
	u.DiscardAll()
	u.leave()
	_ = u.Dir.Close()
}

// InTheWay means that a path leads over, or to, something that it cannot.
type InTheWay struct { //nolint:errname // What it says is where, and not that something failed.
	Path string // Of what is there.
	What string // Such as "a link, where a directory must be".
}

func (e *InTheWay) Error() string { return plan.Quote(e.Path) + " is " + e.What }

// kindOf names what is no regular file.
func kindOf(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFLNK:
		return "a link"
	case unix.S_IFREG:
		return "a file"
	}
	return "a special file"
}

// Obstacle says what is wrong with something of this mode where a directory, or a file, must be.
func Obstacle(name string, mode uint32, directory bool) *InTheWay {
	if directory {
		return &InTheWay{Path: name, What: kindOf(mode) + ", where a directory must be"}
	}
	return &InTheWay{Path: name, What: kindOf(mode) + ", where a file must be"}
}

const walkFlags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// directory opens a directory as the start of other paths. It is InTheWay, or fs.ErrNotExist.
func (u *InUse) directory(name string) (*os.File, error) {
	fd, err := unix.Openat2(int(u.Dir.Fd()), name, &unix.OpenHow{
		Flags:   walkFlags,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil { // One part after the other tells what is in the way, and does without openat2.
		return u.walk(name, nil)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// walk opens one part of a path after the other. Mkdir makes what is missing, unless it is nil.
func (u *InUse) walk(name string, mkdir func(in *os.File, part, name string) error) (*os.File, error) {
	at, err := openAt(u.Dir, ".", ".", walkFlags, 0)
	if err != nil || name == "." {
		return at, err
	}
	for end := range len(name) + 1 {
		if end < len(name) && name[end] != '/' {
			continue
		}
		part := path.Base(name[:end])
		next, err := u.step(at, part, name[:end], mkdir)
		_ = at.Close()
		if err != nil {
			return nil, err
		}
		at = next
	}
	return at, nil
}

func (u *InUse) step(
	at *os.File, part, name string, mkdir func(in *os.File, part, name string) error,
) (*os.File, error) {
	next, err := openAt(at, part, name, walkFlags, 0)
	if errors.Is(err, fs.ErrNotExist) && mkdir != nil {
		if err := mkdir(at, part, name); err != nil {
			return nil, err
		}
		next, err = openAt(at, part, name, walkFlags, 0)
	}
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		if s, statErr := statAt(at, part, name); statErr == nil && s.Mode&unix.S_IFMT != unix.S_IFDIR {
			return nil, Obstacle(name, s.Mode, true)
		}
	}
	return next, err
}

// MakeDirectory makes a directory and those above it, with the modes and owners of spec.files.
func (u *InUse) MakeDirectory(name string) error {
	d, err := u.makeDirectory(name)
	if err != nil {
		return err
	}
	return d.Close() //nolint:wrapcheck // A descriptor of a path holds nothing.
}

func (u *InUse) makeDirectory(name string) (*os.File, error) {
	if d, err := u.directory(name); !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	return u.walk(name, u.mkdir)
}

func (u *InUse) mkdir(in *os.File, part, name string) error {
	if err := u.Owned(); err != nil {
		return err
	}
	err := unix.Mkdirat(int(in.Fd()), part, DirMode)
	if errors.Is(err, unix.EEXIST) {
		return nil // Another worker was quicker, or a user of the volume.
	}
	if err != nil {
		return &fs.PathError{Op: "make directory", Path: plan.Quote(name), Err: err}
	}
	u.touch(path.Dir(name))
	if u.files.DirMode == nil && u.files.UID == nil && u.files.GID == nil {
		return nil
	}
	d, err := openAt(in, part, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return setFiles(d, name, u.files, u.files.DirMode)
}

// setFiles gives something that is new the owner and mode of spec.files.
func setFiles(f *os.File, name string, want wire.Files, mode *uint32) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at %s: %w", plan.Quote(name), err)
	}
	if uid, gid := otherOwner(info, want); uid >= 0 || gid >= 0 {
		if err := f.Chown(uid, gid); err != nil {
			return notOwned(name, uid, gid, err)
		}
	}
	if mode == nil {
		return nil
	}
	keep := info.Mode() & fs.ModeSetgid
	if err := f.Chmod(fs.FileMode(*mode)&fs.ModePerm | keep); err != nil {
		return notModed(name, *mode, err)
	}
	return nil
}

// Stat describes what is at a path. It is InTheWay where the path leads over what is no directory.
func (u *InUse) Stat(name string) (unix.Stat_t, error) {
	d, err := u.directory(path.Dir(name))
	if err != nil {
		return unix.Stat_t{}, err
	}
	defer func() { _ = d.Close() }()
	return statAt(d, path.Base(name), name)
}

// Open opens a file for reading. It waits for no other end of a FIFO.
func (u *InUse) Open(name string) (*os.File, error) {
	d, err := u.directory(path.Dir(name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	return openAt(d, path.Base(name), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

// CanWrite tells that files can be made in a directory, or in the one where it has to be made.
func (u *InUse) CanWrite(name string) error {
	d, err := u.directory(name)
	if errors.Is(err, fs.ErrNotExist) && name != "." {
		return u.CanWrite(path.Dir(name))
	}
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	if err := unix.Faccessat(int(d.Fd()), ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return &fs.PathError{Op: "write to", Path: plan.Quote(name), Err: err}
	}
	return nil
}

// Sync makes everything on the volume durable, and the names of what was brought where that has to be
// done for each directory.
func (u *InUse) Sync() error {
	u.mu.Lock()
	dirs := slices.Collect(maps.Keys(u.touched))
	u.mu.Unlock()
	for _, name := range dirs {
		u.mu.Lock()
		delete(u.touched, name)
		u.mu.Unlock()
		if err := u.syncDirectory(name); err != nil {
			u.touch(name)
			return err
		}
	}
	return (&Volume{Dir: u.Dir}).Sync()
}

// syncDirectory does without what a file system cannot do.
func (u *InUse) syncDirectory(name string) error {
	d, err := u.directory(name)
	if err != nil {
		return nil // It is gone, and a file that is missed is looked for by its path.
	}
	defer func() { _ = d.Close() }()
	f, err := openAt(d, ".", name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // It may be written and not read.
	}
	defer func() { _ = f.Close() }()
	u.Alone.Add(1)
	if err := syncOpen(f); err != nil {
		return fmt.Errorf("directory %s: %w", plan.Quote(name), err)
	}
	return nil
}

// Touch has a directory, and those that lead to it, synced by the next Sync, where that has to be done for each: who
// made them may have ended before that.
func (u *InUse) Touch(dir string) {
	for u.touch(dir); dir != "."; u.touch(dir) {
		dir = path.Dir(dir)
	}
}

func (u *InUse) touch(dir string) {
	if !u.EachFile {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.touched[dir] = true
}

// openAt opens one part of a path.
func openAt(in *os.File, part, name string, flags int, mode uint32) (*os.File, error) {
	fd, err := unix.Openat(int(in.Fd()), part, flags, mode)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: plan.Quote(name), Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// statAt describes one part of a path, without following a link.
func statAt(in *os.File, part, name string) (s unix.Stat_t, err error) {
	if err := unix.Fstatat(int(in.Fd()), part, &s, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return s, &fs.PathError{Op: "stat", Path: plan.Quote(name), Err: err}
	}
	return s, nil
}

// join is a path from the root on of one below a directory.
func join(dir, name string) string { return strings.TrimPrefix(path.Join(dir, name), "./") }
