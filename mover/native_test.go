// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"testing"

	"github.com/minio/crc64nvme"

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
