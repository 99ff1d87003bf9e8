// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"maps"
	"slices"

	"github.com/s3populator/s3populator/mover/plan"
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
	special        int64
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
		s.scan.Unsafe.with(o.unsafe)
		s.scan.Denied.with(o.denied)
	}
}

// reserved leaves out what the file system, the storage or we keep at the root of a volume. The same
// name elsewhere, or of a file, is somebody's data that no volume could take back: that is said.
func (s *scanner) reserved(name string, isDirectory bool) {
	if s.atRoot && isDirectory {
		return
	}
	s.left("").unsafe.add(name, "the name is reserved at the root of a volume")
}
