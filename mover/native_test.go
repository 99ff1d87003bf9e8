// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"slices"
	"testing"

	"github.com/minio/crc64nvme"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestScattered: the sum does not depend on the order in which pieces come, and there is none while a
// byte is missing or there is one too many.
func TestScattered(t *testing.T) {
	t.Parallel()
	b := content(1, 100_000)
	var s scattered
	for _, cut := range [][2]int{{70_000, 100_000}, {0, 10}, {4096, 70_000}, {10, 4095}} {
		s.add(b[cut[0]:cut[1]], int64(cut[0]))
	}
	if _, ok := s.of(int64(len(b))); ok {
		t.Error("a byte is missing, and there is a sum")
	}
	s.add(b[4095:4096], 4095)
	if crc, ok := s.of(int64(len(b))); !ok || crc != crc64nvme.Checksum(b) {
		t.Errorf("the sum is %x (%v), want %x", crc, ok, crc64nvme.Checksum(b))
	}
	if _, ok := s.of(int64(len(b)) - 1); ok {
		t.Error("there is a byte too many, and there is a sum")
	}
}

// TestScatteredTells what is there behind the first sector, and nothing of what was written over.
func TestScatteredTells(t *testing.T) {
	t.Parallel()
	b := content(1, 100_000)
	var s scattered
	add := func(from, to int) { s.add(b[from:to], int64(from)) }
	told := func() (list [][2]int64) {
		ranges, bytes := s.tell()
		for _, r := range ranges {
			if r.Sum != crc64nvme.Checksum(b[r.Offset:r.Offset+r.Length]) {
				t.Errorf("the sum of %d bytes at %d is wrong", r.Length, r.Offset)
			}
			list = append(list, [2]int64{r.Offset, r.Offset + r.Length})
			bytes -= r.Length
		}
		if bytes != 0 {
			t.Errorf("the ranges have %d bytes less than is told", bytes)
		}
		return list
	}
	for _, step := range []struct {
		name string
		do   func()
		want [][2]int64
	}{
		{"the first sector and more", func() { add(0, 1000) }, [][2]int64{{512, 1000}}},
		{"what follows it", func() { add(1000, 2000) }, [][2]int64{{512, 2000}}},
		{"what does not", func() { add(3000, 4000) }, [][2]int64{{512, 2000}, {3000, 4000}}},
		{"the end of one and what lies between", func() { add(1500, 3000) }, [][2]int64{{1500, 4000}}},
		{"the middle of one", func() { add(2000, 2001) }, [][2]int64{{2000, 2001}}},
		{"over two of them", func() { add(5000, 6000); add(1999, 5500) }, [][2]int64{{1999, 5500}}},
		{"only what is not there", func() { s.only([]engine.Range{{Offset: 1999, Length: 1}}) }, nil},
	} {
		step.do()
		if got := told(); !slices.Equal(got, step.want) {
			t.Errorf("%s: it tells of %v, want %v", step.name, got, step.want)
		}
	}
	for at := range 2 * wire.MaxArrived { // Every other one is longer.
		add(1000*at, 1000*at+1+at%2)
	}
	got := told()
	if len(got) != wire.MaxArrived || got[0] != [2]int64{1000, 1002} || !slices.IsSortedFunc(got, func(a, b [2]int64) int {
		return int(a[0] - b[0])
	}) {
		t.Errorf("of more ranges than it may tell it tells %v, want the longest in their order", got)
	}
}
