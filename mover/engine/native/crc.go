// SPDX-License-Identifier: Apache-2.0

package native

import "github.com/s3populator/s3populator/mover/engine"

// field is the ring of polynomials over GF(2) modulo the one of a CRC, bits reflected: the
// highest bit is the coefficient of x^0. A CRC over A followed by B is that of A times
// x^(8*len(B)), plus that of B.
type field struct {
	width uint
	poly  uint64
	// powers are x^(2^k).
	powers [64]uint64
}

var fields = map[engine.Algorithm]*field{
	engine.CRC64NVME: newField(64, 0x9a6c9329ac4bc9b5),
	engine.CRC32C:    newField(32, 0x82f63b78),
	engine.CRC32:     newField(32, 0xedb88320),
}

func newField(width uint, poly uint64) *field {
	f := &field{width: width, poly: poly}
	f.powers[0] = 1 << (width - 2)
	for k := 1; k < len(f.powers); k++ {
		f.powers[k] = f.times(f.powers[k-1], f.powers[k-1])
	}
	return f
}

func (f *field) times(a, b uint64) uint64 {
	p := uint64(0)
	for bit := uint64(1) << (f.width - 1); a != 0; bit >>= 1 {
		if a&bit != 0 {
			p ^= b
			a ^= bit
		}
		if b&1 != 0 {
			b = b>>1 ^ f.poly
		} else {
			b >>= 1
		}
	}
	return p
}

// shift is x^(8*bytes).
func (f *field) shift(bytes int64) uint64 {
	p := uint64(1) << (f.width - 1)
	for k := 3; bytes > 0; k++ {
		if bytes&1 != 0 {
			p = f.times(f.powers[k], p)
		}
		bytes >>= 1
	}
	return p
}

// combine the CRCs of two byte strings into that of both, the second being so many bytes.
func combine(a engine.Algorithm, first, second uint64, bytes int64) uint64 {
	f := fields[a]
	return f.times(f.shift(bytes), first) ^ second
}

// CombineCRC64NVME is the sum of two byte strings, the second being so many bytes.
func CombineCRC64NVME(first, second uint64, bytes int64) uint64 {
	return combine(engine.CRC64NVME, first, second, bytes)
}
