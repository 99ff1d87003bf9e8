// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"fmt"
	"hash/maphash"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/plan"
)

// look is what a directory was when its names were read.
type look struct {
	stamp  stamp
	recent bool   // It had changed so shortly before that its times may not tell of another change.
	moved  bool   // It has other names than when it was looked at before.
	lost   bool   // A name of it was gone when it was asked about.
	names  uint64 // The same for the same names, in any order.
}

// stamp tells one directory, and two sets of names of it, from each other.
type stamp struct {
	device, inode     uint64
	changed, modified int64
}

func stampOf(stat unix.Stat_t) stamp {
	return stamp{device: stat.Dev, inode: stat.Ino, changed: stat.Ctim.Nano(), modified: stat.Mtim.Nano()}
}

var nameSeed = maphash.MakeSeed()

func (l *look) add(name string) { l.names += maphash.String(nameSeed, name) }

// directory scans one directory, and closes it.
func (s *scanner) directory(ctx context.Context, d *os.File, at string) error {
	defer func() { _ = d.Close() }()
	var stat unix.Stat_t
	if err := unix.Fstat(int(d.Fd()), &stat); err != nil {
		return fmt.Errorf("stat directory %s: %w", plan.Quote(at), err)
	}
	age := time.Since(time.Unix(0, stat.Ctim.Nano()))
	before, now := s.looks[at], &look{stamp: stampOf(stat), recent: age < settling}
	s.looks[at] = now
	delete(s.out, at)
	if s.again != nil {
		s.again[at] = true
	}
	err := s.names(ctx, d, at, now)
	if now.moved = before == nil || before.names != now.names; now.moved {
		s.differs = true
	}
	return err
}

// knows tells that the names of the very directory were read under its path.
func (s *scanner) knows(d *os.File, at string) bool {
	l, ok := s.looks[at]
	var stat unix.Stat_t
	return ok && unix.Fstat(int(d.Fd()), &stat) == nil && stat.Dev == l.stamp.device && stat.Ino == l.stamp.inode
}

// vanished notes that an entry had gone when it was asked about, maybe to a directory that was read before.
func (s *scanner) vanished(full string) {
	s.differs = true
	if l := s.looks[dirOf(full)]; l != nil {
		l.lost = true
	}
}

// dirOf is the directory of a path, the exported one as the empty string.
func dirOf(full string) string { return full[:max(0, strings.LastIndexByte(full, '/'))] }
