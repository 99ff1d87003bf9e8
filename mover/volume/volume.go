// SPDX-License-Identifier: Apache-2.0

// Package volume is what a mover writes to: a mounted file system or a device. It looks what is
// there before anything is changed, tells what room is left, removes what no plan names, and
// makes everything durable. It knows neither S3 nor how content is compared.
package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
)

// Modes of what a mover writes, before the umask of 0002 that Run sets. Files
// become 0664 and directories 0775; on a volume with an fsGroup the kubelet
// has made the root setgid, so everything below inherits the group and is
// readable and writable for every consumer that has it, without the recursive
// chown that a mismatch at the root would cost.
const (
	fileMode = 0o666
	DirMode  = 0o777
	Umask    = 0o002
)

// Volume is a mounted file system that is exclusively ours while it is filled.
// Every access goes through an os.Root or openat2(RESOLVE_BENEATH), so that no
// name and no symbolic link leads out of it.
type Volume struct {
	Root *os.Root // The mount point.
	Data *os.Root // The target directory; the same as root without a targetPath.
	// Dir is the mount point again, for syncfs: it reports write errors since it was opened.
	Dir     *os.File
	dataDir *os.File // The target directory again, for openat2.
	Target  string
	// EachFile means that Sync is not enough for what was written to files, nor for names and attributes: each file
	// and each directory has to be synced by itself.
	EachFile bool
	// Alone counts those that were.
	Alone atomic.Int64
}

// Open opens the mount point and changes nothing.
func Open(mount, target string) (*Volume, error) {
	root, err := os.OpenRoot(mount)
	if err != nil {
		return nil, fault.NotWritable(err)
	}
	v := &Volume{Root: root, Target: target}
	if v.Dir, err = os.Open(mount); err != nil { // #nosec G304 -- the mount point.
		v.Close()
		return nil, fault.NotWritable(err)
	}
	if err := v.lookReach(); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

// MakeTarget makes the target directory. The volume is ours by now.
func (v *Volume) MakeTarget() error {
	if v.Target != "" {
		if err := replaceDirs(v.Root, v.Target); err != nil {
			return fault.NotWritable(err)
		}
	}
	if err := v.OpenTarget(); err != nil {
		return fault.NotWritable(err)
	}
	return nil
}

// OpenTarget opens the target directory, which is the root without a targetPath.
func (v *Volume) OpenTarget() error {
	v.closeTarget()
	v.Data = v.Root
	var err error
	if v.Target != "" {
		if v.Data, err = v.Root.OpenRoot(v.Target); err != nil {
			return fmt.Errorf("open the target directory: %w", err)
		}
	}
	if v.dataDir, err = v.Data.Open("."); err != nil {
		return fmt.Errorf("open the target directory: %w", err)
	}
	return nil
}

func (v *Volume) closeTarget() {
	if v.Data != v.Root && v.Data != nil {
		_ = v.Data.Close()
	}
	if v.dataDir != nil {
		_ = v.dataDir.Close()
	}
	v.Data, v.dataDir = nil, nil
}

// Close gives the directories back.
func (v *Volume) Close() {
	v.closeTarget()
	_ = v.Root.Close()
	if v.Dir != nil {
		_ = v.Dir.Close()
	}
}

// replaceDirs is mkdir -p, segment by segment: a file or a link in the way is
// removed, because on a volume of ours it can only be a leftover.
func replaceDirs(root *os.Root, dir string) error {
	for at := range len(dir) + 1 {
		if at < len(dir) && dir[at] != '/' {
			continue
		}
		if err := replaceDir(root, dir[:at]); err != nil {
			return fmt.Errorf("make directory %s: %w", plan.Quote(dir[:at]), err)
		}
	}
	return nil
}

func replaceDir(root *os.Root, dir string) error {
	info, err := root.Lstat(dir)
	if err == nil && info.IsDir() {
		return nil
	}
	if err == nil {
		err = root.Remove(dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err //nolint:wrapcheck // The caller names the directory.
	}
	return root.Mkdir(dir, DirMode) //nolint:wrapcheck // The caller names the directory.
}

// Open opens a file below the target directory for reading, in one system
// call where the kernel can confine it and through os.Root where it cannot.
func (v *Volume) Open(name string) (*os.File, error) {
	return v.OpenFile(name, unix.O_RDONLY, 0)
}

// Create opens a file for writing, and makes its directories. It is a new one, and the error is fs.ErrExist
// where one is there, unless what is there is kept. A large file has its final size at once: so mc, which
// decides by size, leaves it alone.
func (v *Volume) Create(name string, size int64, keep bool) (*os.File, error) {
	flags := unix.O_RDWR | unix.O_CREAT // It may be read back.
	if !keep {
		flags |= unix.O_EXCL
	}
	f, err := v.create(name, flags)
	if err == nil && size >= plan.LargeSize {
		if err := f.Truncate(size); err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("size %s: %w", plan.Quote(name), err)
		}
	}
	return f, err
}

// create makes the directories of a file where they are missing.
func (v *Volume) create(name string, flags int) (*os.File, error) {
	f, err := v.OpenFile(name, flags, fileMode)
	if errors.Is(err, fs.ErrNotExist) {
		if err := v.Data.MkdirAll(path.Dir(name), DirMode); err != nil {
			return nil, fmt.Errorf("make directory of %s: %w", plan.Quote(name), err)
		}
		f, err = v.OpenFile(name, flags, fileMode)
	}
	return f, err
}

// CreateSmall is Create of a new file below plan.LargeSize for who needs no more than a descriptor: there is one
// for each of many files, and an os.File costs three more system calls.
func (v *Volume) CreateSmall(name string) (fd int, err error) {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL
	fd, err = v.open(name, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, fileMode)
	if err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNoOpenat2) {
		return fd, err
	}
	f, err := v.create(name, flags)
	if err != nil {
		return -1, err
	}
	defer func() { _ = f.Close() }()
	fd, err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", plan.Quote(name), err)
	}
	return fd, nil
}

// Leads describes what a path leads to, through links in its directories also. It is enough for who knows
// the device and the inode that have to be there.
func (v *Volume) Leads(name string) (s unix.Stat_t, err error) {
	if err := unix.Fstatat(int(v.dataDir.Fd()), name, &s, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return s, &fs.PathError{Op: "stat", Path: plan.Quote(name), Err: err}
	}
	return s, nil
}

// OpenFile opens a path below the target that leads through no link and not out of the volume. It
// does not wait for the other end of a FIFO that has taken the place of a file.
func (v *Volume) OpenFile(name string, flags int, mode uint32) (*os.File, error) {
	flags |= unix.O_CLOEXEC | unix.O_NOFOLLOW
	if flags&unix.O_PATH == 0 { // With which nothing else may stand.
		flags |= unix.O_NONBLOCK
	}
	fd, err := v.open(name, flags, mode)
	if errors.Is(err, errNoOpenat2) {
		return v.Data.OpenFile(name, flags, fs.FileMode(mode)) //nolint:wrapcheck // Callers name the file.
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// errNoOpenat2 means that the kernel does not know openat2, or that something keeps it from us.
var errNoOpenat2 = errors.New("openat2 cannot be used")

// open returns a descriptor.
func (v *Volume) open(name string, flags int, mode uint32) (int, error) {
	fd, err := unix.Openat2(int(v.dataDir.Fd()), name, &unix.OpenHow{ // #nosec G115 -- a descriptor.
		Flags:   uint64(flags), // #nosec G115 -- constants.
		Mode:    uint64(mode),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
		return -1, errNoOpenat2
	case err != nil:
		return -1, &fs.PathError{Op: "open", Path: plan.Quote(name), Err: err}
	}
	return fd, nil
}

// Stat describes a file below the target directory without following a link. It is asked about
// every file, and does without an os.File where it can.
func (v *Volume) Stat(name string) (s unix.Stat_t, err error) {
	fd, err := v.open(name, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if errors.Is(err, errNoOpenat2) {
		f, err := v.OpenFile(name, unix.O_PATH, 0)
		if err != nil {
			return s, err
		}
		defer func() { _ = f.Close() }()
		err = stat(int(f.Fd()), name, &s)
		return s, err
	}
	if err != nil {
		return s, err
	}
	defer func() { _ = unix.Close(fd) }()
	err = stat(fd, name, &s)
	return s, err
}

func stat(fd int, name string, s *unix.Stat_t) error {
	if err := unix.Fstat(fd, s); err != nil {
		return &fs.PathError{Op: "stat", Path: plan.Quote(name), Err: err}
	}
	return nil
}

// Sync writes everything on the volume to its device: data, directories and
// the journal. The kernel reports every write error since the volume was
// opened, so a nil error means that what was written is there, unless EachFile is set.
func (v *Volume) Sync() error {
	if err := unix.Syncfs(int(v.Dir.Fd())); err != nil {
		return fmt.Errorf("write the volume to its device: %w", err)
	}
	return nil
}

// Remove removes a file below the target directory.
func (v *Volume) Remove(name string) error {
	return v.Data.Remove(name) //nolint:wrapcheck // Callers name the file.
}
