// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// Scan is what is on a volume below the exported path, sorted bytewise by path.
type Scan struct {
	Entries []manifest.Entry // Without entity tags, checksums and extended attributes.
	Special int64            // Sockets, FIFOs and devices.
	Unsafe  Examples         // Paths that cannot be keys.
	Denied  Examples         // Paths that may not be read.
}

// Examples count paths, and keep the first three for a message.
type Examples struct {
	Count int64
	First []string
}

func (e *Examples) add(name, problem string) {
	const most = 3
	e.Count++
	if len(e.First) < most {
		e.First = append(e.First, plan.Quote(name)+" ("+problem+")")
	}
}

// scanner walks directories by descriptors, so that a directory that is replaced by a link while
// it is walked leads nowhere.
type scanner struct {
	scan   *Scan
	prefix string // Of the keys.
	atRoot bool   // What is exported is the volume itself.
}

// Walk scans the directory below the mount point; an empty one is the mount point itself.
func Walk(ctx context.Context, mount, directory, prefix string) (*Scan, error) {
	root, err := os.Open(mount) // #nosec G304 -- the mount point.
	if err != nil {
		return nil, fault.New(wire.PathNotReadable, "the volume cannot be opened: %v", err)
	}
	defer func() { _ = root.Close() }()
	top, err := openDirectory(root, path.Join(".", directory))
	if err != nil {
		return nil, topFailure(directory, err)
	}
	s := &scanner{scan: new(Scan), prefix: prefix, atRoot: directory == ""}
	if err := s.directory(ctx, top, ""); err != nil {
		return nil, err
	}
	slices.SortFunc(s.scan.Entries, func(a, b manifest.Entry) int { return strings.Compare(a.Path, b.Path) })
	return s.scan, nil
}

func topFailure(directory string, err error) error {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fault.New(wire.PathNotReadable, "path %s may not be read: %v", plan.Quote(directory), err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV):
		return fault.New(wire.PathNotFound, "path %s is no directory on the volume; links are not followed: %v",
			plan.Quote(directory), err)
	}
	return fmt.Errorf("open %s: %w", plan.Quote(directory), err)
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

// directory scans one directory, and closes it.
func (s *scanner) directory(ctx context.Context, d *os.File, at string) error {
	defer func() { _ = d.Close() }()
	const batch = 1024
	for {
		if err := context.Cause(ctx); err != nil {
			return err //nolint:wrapcheck // Why the mover is to end.
		}
		names, err := d.Readdirnames(batch)
		for _, name := range names {
			if err := s.name(ctx, d, at, name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read directory %s: %w", plan.Quote(at), err)
		}
	}
}

func (s *scanner) name(ctx context.Context, d *os.File, at, name string) error {
	full := path.Join(at, name)
	var stat unix.Stat_t
	err := unix.Fstatat(int(d.Fd()), name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil // It went while the directory was read.
	}
	if err != nil {
		return fmt.Errorf("stat %s: %w", plan.Quote(full), err)
	}
	if at == "" && reserved(name) {
		s.reserved(name, stat)
		return nil
	}
	e, ok := entryOf(full, stat)
	if !ok {
		s.scan.Special++
		return nil
	}
	if problem := keyProblem(s.prefix, full); problem != "" {
		s.scan.Unsafe.add(full, problem)
		return nil
	}
	if e.Type == manifest.Link {
		return s.link(d, name, e)
	}
	s.scan.Entries = append(s.scan.Entries, e)
	if e.Type != manifest.Directory {
		return nil
	}
	return s.descend(ctx, d, name, full)
}

// reserved leaves out what the file system, the storage or we keep at the root of a volume. The same
// name elsewhere, or of a file, is somebody's data that no volume could take back: that is said.
func (s *scanner) reserved(name string, stat unix.Stat_t) {
	if s.atRoot && stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		return
	}
	s.scan.Unsafe.add(name, "the name is reserved at the root of a volume")
}

func (s *scanner) descend(ctx context.Context, d *os.File, name, full string) error {
	below, err := openDirectory(d, name)
	switch {
	case err == nil:
		return s.directory(ctx, below, full)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		s.scan.Denied.add(full, "permission denied")
		return nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		s.scan.Entries = s.scan.Entries[:len(s.scan.Entries)-1] // It is no directory any more.
		return nil
	}
	return fmt.Errorf("open directory %s: %w", plan.Quote(full), err)
}

func (s *scanner) link(d *os.File, name string, e manifest.Entry) error {
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(d.Fd()), name, target)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return nil // It went, or is no link any more.
	}
	if err != nil {
		return fmt.Errorf("read link %s: %w", plan.Quote(e.Path), err)
	}
	e.Target = manifest.Bytes(target[:n])
	s.scan.Entries = append(s.scan.Entries, e)
	return nil
}

// entryOf reports false for what is neither file, directory nor link.
func entryOf(full string, stat unix.Stat_t) (manifest.Entry, bool) {
	const bits = 0o7777
	e := manifest.Entry{
		Path: full, Mode: stat.Mode & bits, ModTime: stat.Mtim.Nano(), UID: stat.Uid, GID: stat.Gid, Inode: stat.Ino,
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Type, e.Size = manifest.File, stat.Size
	case unix.S_IFDIR:
		e.Type = manifest.Directory
	case unix.S_IFLNK:
		e.Type = manifest.Link
	default:
		return e, false
	}
	return e, true
}
