// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
)

// settle reads the directories again that have changed since their names were read: what was renamed from one that
// was to be read into one that had been, or after the names of both were known, would be missing. Where nothing has
// changed between two looks, the scan is what was there in between. Where that never is so, the scan says it.
func (s *scanner) settle(ctx context.Context) error {
	const rounds = 3
	for round := 1; ; round++ {
		changed, gone, err := s.changed(ctx, round > rounds)
		if err != nil || len(changed)+len(gone) == 0 {
			return err
		}
		if round > rounds {
			s.scan.Unsettled = int64(len(changed) + len(gone))
			return nil
		}
		if err := s.readAgain(ctx, changed, gone, round == rounds); err != nil {
			return err
		}
		if !s.differs { // Other times, and the same names: some file systems make times up.
			return nil
		}
	}
}

// changed are the directories that are to be read again, and those that are not there any more; by their paths, so
// that each comes after the one it is in. At last, one that kept its names is believed to have kept them since.
func (s *scanner) changed(ctx context.Context, isLast bool) (changed, gone []string, err error) {
	away := map[string]bool{}
	for _, at := range slices.Sorted(maps.Keys(s.looks)) {
		if err := context.Cause(ctx); err != nil {
			return nil, nil, err //nolint:wrapcheck // Why the mover is to end.
		}
		var stat unix.Stat_t // Only compared: a link on the way leads to another directory.
		err := unix.Fstatat(int(s.top.Fd()), path.Join(".", at), &stat, unix.AT_SYMLINK_NOFOLLOW)
		l := s.looks[at]
		switch {
		case away[dirOf(at)] && at != "", isGone(err), err == nil && stat.Mode&unix.S_IFMT != unix.S_IFDIR:
			gone = append(gone, at)
			away[at] = true
		case err != nil && !isDenied(err):
			return nil, nil, fmt.Errorf("stat directory %s: %w", plan.Quote(at), err)
		case err != nil, l.lost, l.recent && (l.moved || !isLast), stampOf(stat) != l.stamp:
			changed = append(changed, at)
		}
	}
	return changed, gone, nil
}

// readAgain takes what is in directories now for what was in them. The last time, what has gone from them stays in
// the scan: nobody looks where it is now, unless it is missed when it is to be sent.
func (s *scanner) readAgain(ctx context.Context, changed, gone []string, isLast bool) error {
	before := s.scan.Entries
	s.scan.Entries, s.again, s.differs = nil, map[string]bool{}, len(gone) > 0
	for _, at := range gone {
		s.forget(at, isLast)
	}
	for _, at := range changed {
		if s.again[at] { // With the one that it is in, which is another one by now.
			continue
		}
		if err := s.directoryAgain(ctx, at, isLast); err != nil {
			return err
		}
	}
	if isLast {
		s.scan.Entries = replaced(before, s.scan.Entries)
		return nil
	}
	before = slices.DeleteFunc(before, func(e manifest.Entry) bool { return s.again[dirOf(e.Path)] })
	s.scan.Entries = append(before, s.scan.Entries...)
	return nil
}

func (s *scanner) directoryAgain(ctx context.Context, at string, isLast bool) error {
	d, err := openDirectory(s.top, path.Join(".", at))
	switch {
	case err == nil:
		return s.directory(ctx, d, at)
	case isGone(err):
		s.differs = true
		s.forget(at, isLast)
		return nil
	case isDenied(err):
		s.left(at).denied.add(at, "a directory that could be read before")
		return nil
	}
	return fmt.Errorf("open directory %s: %w", plan.Quote(at), err)
}

// forget is for a directory that is not there any more.
func (s *scanner) forget(at string, isLast bool) {
	if isLast {
		return
	}
	delete(s.looks, at)
	delete(s.out, at)
	s.again[at] = true
}

// replaced are entries, those of a path that was read again as they are now.
func replaced(before, now []manifest.Entry) []manifest.Entry {
	paths := map[string]bool{}
	for _, e := range now {
		paths[e.Path] = true
	}
	all := append(slices.DeleteFunc(before, func(e manifest.Entry) bool { return paths[e.Path] }), now...)
	sortEntries(all)
	return (&Scan{Entries: all}).onlyInDirectories()
}
