// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
)

// Scan is what is on a volume below the exported path, sorted bytewise by path.
type Scan struct {
	Entries []manifest.Entry // Without entity tags and checksums.
	Special int64            // Sockets, FIFOs and devices.
	Unsafe  Examples         // Paths that cannot be keys.
	Denied  Examples         // Paths that may not be read.
	Kept    int64            // Directories of the storage at the root of the volume, with something in them.
	// Unsettled are directories that changed each time that their names were read: something may be missing that was
	// on the volume all along.
	Unsettled int64
}

// scanner walks directories by descriptors, so that a directory that is replaced by a link while
// it is walked leads nowhere.
type scanner struct {
	scan   *Scan
	prefix string // Of the keys.
	atRoot bool   // What is exported is the volume itself.
	filter plan.Filter

	top     *os.File
	looks   map[string]*look    // By the path of a directory whose names were read.
	out     map[string]*leftOut // By the path of a directory of which something is left out.
	again   map[string]bool     // The directories that were read again, from the second look on.
	differs bool                // What is there now is something else than what a look before has found.
}

func newScanner(prefix string, t *Tree, filter plan.Filter) *scanner {
	return &scanner{
		scan: new(Scan), prefix: prefix, atRoot: t.atRoot, filter: filter,
		top: t.top, looks: map[string]*look{}, out: map[string]*leftOut{},
	}
}

func sortEntries(entries []manifest.Entry) {
	slices.SortFunc(entries, func(a, b manifest.Entry) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(string(a.Type), string(b.Type)))
	})
}

// find returns the index of the entry of a path in sorted entries.
func find(entries []manifest.Entry, name string) (int, bool) {
	return slices.BinarySearchFunc(entries, name, func(e manifest.Entry, name string) int {
		return strings.Compare(e.Path, name)
	})
}

// names scans what is in a directory.
func (s *scanner) names(ctx context.Context, d *os.File, at string, l *look) error {
	const batch = 1024
	for {
		if err := context.Cause(ctx); err != nil {
			return err //nolint:wrapcheck // Why the mover is to end.
		}
		names, err := d.Readdirnames(batch)
		for _, name := range names {
			l.add(name)
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

//nolint:gocyclo // A case for each kind of entry.
func (s *scanner) name(ctx context.Context, d *os.File, at, name string) error {
	full := path.Join(at, name)
	var stat unix.Stat_t
	err := unix.Fstatat(int(d.Fd()), name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		s.vanished(full)
		return nil
	}
	if isDenied(err) {
		s.left(at).denied.add(full, "its directory may not be searched")
		return nil
	}
	if err != nil {
		return fmt.Errorf("stat %s: %w", plan.Quote(full), err)
	}
	e, ok := entryOf(full, stat)
	isDirectory := ok && e.Type == manifest.Directory
	if isDirectory && s.filter.Prunes(full) || !isDirectory && !s.filter.Selects(full) {
		return nil
	}
	if at == "" && reserved(name) {
		s.reserved(d, name, isDirectory)
		return nil
	}
	if !ok {
		s.left(at).special++
		return nil
	}
	if problem := keyProblem(s.prefix, full); problem != "" {
		s.left(at).unsafe.add(full, problem)
		return nil
	}
	if e.Type == manifest.Link {
		return s.link(d, name, e)
	}
	return s.entry(ctx, d, name, e)
}

// entry takes a file or a directory.
func (s *scanner) entry(ctx context.Context, d *os.File, name string, e manifest.Entry) error {
	if e.Type == manifest.File && isDenied(unix.Faccessat(int(d.Fd()), name, unix.R_OK, unix.AT_EACCESS)) {
		s.left(dirOf(e.Path)).denied.add(e.Path, "of user "+strconv.FormatUint(uint64(e.UID), 10))
		return nil
	}
	var err error
	e.XAttrs, err = attributesOf(d, name)
	switch {
	case isGone(err):
		s.vanished(e.Path)
		return nil
	case isDenied(err):
		s.left(dirOf(e.Path)).denied.add(e.Path, "its attributes, of user "+strconv.FormatUint(uint64(e.UID), 10))
		return nil
	case err != nil:
		return fmt.Errorf("scan %s: %w", plan.Quote(e.Path), err)
	}
	s.scan.Entries = append(s.scan.Entries, e)
	if e.Type != manifest.Directory {
		return nil
	}
	return s.descend(ctx, d, name, e)
}

func (s *scanner) descend(ctx context.Context, d *os.File, name string, e manifest.Entry) error {
	below, err := openDirectory(d, name)
	switch {
	case err == nil && s.knows(below, e.Path): // It is looked at by itself.
		return below.Close() //nolint:wrapcheck // It was only read.
	case err == nil:
		return s.directory(ctx, below, e.Path)
	case isDenied(err):
		s.left(dirOf(e.Path)).denied.add(e.Path, "a directory of user "+strconv.FormatUint(uint64(e.UID), 10))
		return nil
	case isGone(err):
		s.scan.Entries = s.scan.Entries[:len(s.scan.Entries)-1] // It is no directory any more.
		s.vanished(e.Path)
		return nil
	}
	return fmt.Errorf("open directory %s: %w", plan.Quote(e.Path), err)
}

func (s *scanner) link(d *os.File, name string, e manifest.Entry) error {
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(d.Fd()), name, target)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		s.vanished(e.Path) // Or it is no link any more.
		return nil
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
		e.Type, e.Size, e.ChangeTime = manifest.File, stat.Size, stat.Ctim.Nano()
	case unix.S_IFDIR:
		e.Type = manifest.Directory
	case unix.S_IFLNK:
		e.Type = manifest.Link
	default:
		return e, false
	}
	return e, true
}
