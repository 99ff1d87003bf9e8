// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"errors"
	"io"
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// Examples count paths, and keep the first three for a message.
type Examples struct {
	Count int64
	First []string
}

const mostExamples = 3

func (e *Examples) add(name, problem string) {
	e.Count++
	if len(e.First) < mostExamples {
		e.First = append(e.First, plan.Quote(name)+" ("+problem+")")
	}
}

// with adds what was found elsewhere.
func (e *Examples) with(o Examples) {
	e.Count += o.Count
	e.First = append(e.First, o.First...)
	e.First = e.First[:min(len(e.First), mostExamples)]
}

// leftOut is what a directory has and the scan has not.
type leftOut struct {
	special, kept  int64
	unsafe, denied Examples
}

func (s *scanner) left(at string) *leftOut {
	o := s.out[at]
	if o == nil {
		o = new(leftOut)
		s.out[at] = o
	}
	return o
}

// countOut adds up what is left out.
func (s *scanner) countOut() {
	for _, at := range slices.Sorted(maps.Keys(s.out)) {
		o := s.out[at]
		s.scan.Special += o.special
		s.scan.Kept += o.kept
		s.scan.Unsafe.with(o.unsafe)
		s.scan.Denied.with(o.denied)
	}
}

// reserved leaves out what the file system, the storage or we keep at the root of a volume. The same
// name elsewhere, or of a file, is somebody's data that no volume could take back: that is said. What is in a
// directory of the storage may be somebody's data as well: it is counted.
func (s *scanner) reserved(d *os.File, name string, isDirectory bool) {
	switch {
	case !s.atRoot || !isDirectory:
		s.left("").unsafe.add(name, "the name is reserved at the root of a volume")
	case name != wire.JournalDir && holds(d, name):
		s.left("").kept++
	}
}

// holds tells that something is in a directory. What may not be read is taken for something, but for lost+found,
// which is root's on every file system.
func holds(d *os.File, name string) bool {
	below, err := openDirectory(d, name)
	if err != nil {
		return !isGone(err) && name != plan.LostAndFound
	}
	defer func() { _ = below.Close() }()
	var of, is unix.Stat_t
	if unix.Fstat(int(d.Fd()), &of) == nil && unix.Fstat(int(below.Fd()), &is) == nil && of.Dev != is.Dev {
		return false // The storage shows it there, and it is no part of the volume.
	}
	names, err := below.Readdirnames(1)
	return len(names) > 0 || !errors.Is(err, io.EOF)
}
