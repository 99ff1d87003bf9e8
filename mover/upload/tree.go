// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// Tree is what is exported: a directory of a volume, or one regular file.
type Tree struct {
	top    *os.File // The directory; of one file, the one that it is in.
	file   string   // The name of the one file, else empty.
	atRoot bool     // It is the volume itself.
}

// OpenTree opens a path below the mount point; an empty one is the mount point itself. No link is
// followed, and nothing outside of the volume is reached.
func OpenTree(mount, at string) (*Tree, error) {
	root, err := os.Open(mount) // #nosec G304 -- the mount point.
	if err != nil {
		return nil, fault.New(wire.PathNotReadable, "the volume cannot be opened: %v", fault.Pathless(err))
	}
	defer func() { _ = root.Close() }()
	top, err := openDirectory(root, path.Join(".", at))
	if err == nil {
		return &Tree{top: top, atRoot: at == ""}, nil
	}
	if !errors.Is(err, unix.ENOTDIR) {
		return nil, topFailure(at, err)
	}
	top, err = openDirectory(root, path.Join(".", path.Dir(at)))
	if err != nil {
		return nil, topFailure(at, err)
	}
	t := &Tree{top: top, file: path.Base(at)}
	var stat unix.Stat_t
	if err := unix.Fstatat(int(top.Fd()), t.file, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.Close()
		return nil, topFailure(at, err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG {
		t.Close()
		return nil, fault.New(
			wire.PathNotFound,
			"path %s is neither a directory nor a regular file on the volume; links are not followed",
			plan.Quote(at),
		)
	}
	return t, nil
}

// IsFile tells that one file is exported.
func (t *Tree) IsFile() bool { return t.file != "" }

// Close gives the directory back.
func (t *Tree) Close() { _ = t.top.Close() }

// open opens a file of a scan for reading. What is no regular file any more is not there.
func (t *Tree) open(name string) (*os.File, unix.Stat_t, error) {
	var stat unix.Stat_t
	// Without O_NONBLOCK, a FIFO that took the place of a file would hold the mover up.
	fd, err := unix.Openat2(int(t.top.Fd()), name, &unix.OpenHow{ // #nosec G115 -- a descriptor.
		Flags:   unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return nil, stat, &os.PathError{Op: "open", Path: plan.Quote(name), Err: err}
	}
	f := os.NewFile(uintptr(fd), name) // #nosec G115 -- a descriptor.
	if err := unix.Fstat(fd, &stat); err != nil {
		_ = f.Close()
		return nil, stat, &os.PathError{Op: "stat", Path: plan.Quote(name), Err: err}
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG {
		_ = f.Close()
		return nil, stat, &os.PathError{Op: "open", Path: plan.Quote(name), Err: unix.ENOENT}
	}
	return f, stat, nil
}

// isGone tells that a file is not under its path any more.
func isGone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) ||
		errors.Is(err, unix.ENXIO)
}

func isDenied(err error) bool { return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) }

func topFailure(at string, err error) error {
	switch {
	case isDenied(err):
		return fault.New(wire.PathNotReadable, "path %s may not be read: %v; the mover runs as user %d",
			plan.Quote(at), fault.Pathless(err), os.Getuid())
	case isGone(err), errors.Is(err, unix.EXDEV):
		return fault.New(wire.PathNotFound, "path %s is not on the volume; links are not followed: %v",
			plan.Quote(at), fault.Pathless(err))
	}
	return fmt.Errorf("open %s: %w", plan.Quote(at), err)
}

func openDirectory(below *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat2(int(below.Fd()), name, &unix.OpenHow{ // #nosec G115 -- a descriptor.
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: plan.Quote(name), Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil // #nosec G115 -- a descriptor.
}

// Scan reads what is there. Prefix is that of the keys, and the filter is asked about paths
// below the exported one.
func (t *Tree) Scan(ctx context.Context, prefix string, filter plan.Filter) (*Scan, error) {
	s := newScanner(prefix, t, filter)
	if t.IsFile() {
		err := s.name(ctx, t.top, "", t.file)
		s.countOut()
		return s.scan, err
	}
	top, err := openDirectory(t.top, ".") // A reading position of its own.
	if err != nil {
		return nil, topFailure("", err)
	}
	if err := s.directory(ctx, top, ""); err != nil {
		return nil, err
	}
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	s.finish()
	return s.scan, nil
}

// parentsOf are the directories that entries are in, and theirs.
func parentsOf(entries []manifest.Entry, of func(manifest.Entry) bool) map[string]bool {
	parents := map[string]bool{}
	for _, e := range entries {
		if !of(e) {
			continue
		}
		for at, c := range []byte(e.Path) {
			if c == '/' {
				parents[e.Path[:at]] = true
			}
		}
	}
	return parents
}

// once leaves one entry of a path that a directory has told twice, because something was renamed in it, and
// nothing below what is no directory. Where it is another one by now, sending it tells.
func (s *Scan) once() {
	all, told := s.Entries, len(s.Entries)
	kept := all[:0]
	for i, e := range all {
		if i == len(all)-1 || all[i+1].Path != e.Path {
			kept = append(kept, e)
		}
	}
	s.Entries = kept
	if len(kept) == told {
		return
	}
	s.Entries = s.onlyInDirectories()
}

// onlyInDirectories leaves out what is below something else than a directory.
func (s *Scan) onlyInDirectories() []manifest.Entry {
	return slices.DeleteFunc(slices.Clone(s.Entries), func(e manifest.Entry) bool { return s.belowOther(e.Path) })
}

// finish sorts, and leaves out directories that are not selected and have nothing in them that is.
func (s *scanner) finish() {
	s.countOut()
	sortEntries(s.scan.Entries)
	s.scan.once()
	if s.filter.IsEmpty() {
		return
	}
	entries := s.scan.Entries
	needed := parentsOf(entries, func(e manifest.Entry) bool {
		return e.Type != manifest.Directory || s.filter.Selects(e.Path)
	})
	kept := entries[:0]
	for _, e := range entries {
		if e.Type != manifest.Directory || needed[e.Path] || s.filter.Selects(e.Path) {
			kept = append(kept, e)
		}
	}
	s.scan.Entries = kept
}
