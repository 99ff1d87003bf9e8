// SPDX-License-Identifier: Apache-2.0

package native

import (
	"crypto/md5"  // #nosec G501 -- what S3 calls an entity tag.
	"crypto/sha1" // #nosec G505 -- one of S3's checksums.
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"hash/crc32"

	"github.com/minio/crc64nvme"

	"github.com/s3populator/s3populator/mover/engine"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// summer computes one sum after the other and allocates nothing for it.
type summer struct {
	besides         func() hash.Hash // Makes an MD5 that is computed beside others; nil: there are none.
	besidesFrom     int64            // Bytes from where on that is worth it.
	algorithm       engine.Algorithm
	crc             uint64
	inner           hash.Hash // Of the object, or of the current part.
	outer           hash.Hash // Of the parts' digests.
	part, left      int64
	md5, parts      hash.Hash
	shared          hash.Hash // An MD5 that is computed beside others.
	sha1sum, sha256 hash.Hash
	value           [32]byte
}

// begin a sum of so many bytes; partSize counts for MD5Parts only.
func (s *summer) begin(a engine.Algorithm, partSize, size int64) {
	s.algorithm, s.crc, s.inner, s.outer = a, 0, nil, nil
	switch a {
	case engine.MD5:
		s.inner = s.emptyMD5(size)
	case engine.MD5Parts:
		s.inner, s.outer = s.emptyMD5(size), kept(&s.parts, md5.New)
		s.part, s.left = partSize, partSize
	case engine.SHA1:
		s.inner = kept(&s.sha1sum, sha1.New)
	case engine.SHA256:
		s.inner = kept(&s.sha256, sha256.New)
	case engine.CRC64NVME, engine.CRC32C, engine.CRC32, engine.None:
	}
}

// emptyMD5 is for so many bytes.
func (s *summer) emptyMD5(size int64) hash.Hash {
	if s.besides != nil && size >= s.besidesFrom {
		return kept(&s.shared, s.besides)
	}
	return kept(&s.md5, md5.New)
}

func kept(h *hash.Hash, create func() hash.Hash) hash.Hash { //nolint:gocritic // It fills what it points to.
	if *h == nil {
		*h = create()
	}
	(*h).Reset()
	return *h
}

// giveUp has nobody wait for what follows.
func (s *summer) giveUp() {
	if s.inner != nil {
		s.inner.Reset()
	}
}

func (s *summer) write(p []byte) {
	switch {
	case s.outer != nil:
		s.writeParts(p)
	case s.inner != nil:
		s.inner.Write(p)
	default:
		s.crc = update(s.algorithm, s.crc, p)
	}
}

func (s *summer) writeParts(p []byte) {
	for len(p) > 0 {
		n := min(int64(len(p)), s.left)
		s.inner.Write(p[:n])
		p = p[n:]
		if s.left -= n; s.left == 0 {
			s.endPart()
		}
	}
}

func (s *summer) endPart() {
	s.outer.Write(s.inner.Sum(s.value[:0]))
	s.inner.Reset()
	s.left = s.part
}

// end returns the sum of all that was written since begin.
func (s *summer) end() engine.Sum {
	sum := engine.Sum{Algorithm: s.algorithm}
	switch {
	case s.outer != nil:
		sum.PartSize = s.part
		if s.left < s.part { // The last part is mostly shorter.
			s.endPart()
		}
		s.outer.Sum(sum.Value[:0])
	case s.inner != nil:
		s.inner.Sum(sum.Value[:0])
	default:
		sum = sumOf(s.algorithm, s.crc)
	}
	return sum
}

// later is end where that is not there yet: then is called on another goroutine. It returns false where end is to be
// called.
func (s *summer) later(then func(engine.Sum)) bool {
	h, ok := s.inner.(*laneHash)
	if !ok || s.outer != nil {
		return false
	}
	sum := engine.Sum{Algorithm: s.algorithm}
	h.later(func(digest [md5.Size]byte) {
		copy(sum.Value[:], digest[:])
		then(sum)
	})
	return true
}

// isCRC reports whether sums of ranges can be combined.
func isCRC(a engine.Algorithm) bool {
	return a == engine.CRC64NVME || a == engine.CRC32C || a == engine.CRC32
}

func update(a engine.Algorithm, crc uint64, p []byte) uint64 {
	switch a {
	case engine.CRC64NVME:
		return crc64nvme.Update(crc, p)
	case engine.CRC32C:
		return uint64(crc32.Update(uint32(crc), castagnoli, p)) // #nosec G115 -- it has 32 bits.
	case engine.CRC32:
		return uint64(crc32.Update(uint32(crc), crc32.IEEETable, p)) // #nosec G115 -- it has 32 bits.
	default:
		return crc
	}
}

func sumOf(a engine.Algorithm, crc uint64) engine.Sum {
	sum := engine.Sum{Algorithm: a}
	switch a {
	case engine.CRC64NVME:
		binary.BigEndian.PutUint64(sum.Value[:], crc)
	case engine.CRC32C, engine.CRC32:
		binary.BigEndian.PutUint32(sum.Value[:], uint32(crc)) // #nosec G115 -- it has 32 bits.
	default: // No other sum is combined from ranges.
	}
	return sum
}

// choose says what to compute of an object: what S3 names costs least and says most; else
// what its entity tag is likely to be.
func (e *Engine) choose(t *engine.Task, said engine.Sum) (a engine.Algorithm, partSize int64) {
	switch {
	case e.config.SkipSums:
		return engine.None, 0
	case said.Algorithm != engine.None:
		return said.Algorithm, 0
	case t.PartSize > 0:
		return engine.MD5Parts, t.PartSize
	case isDigest(t.ETag):
		return engine.MD5, 0
	}
	return engine.None, 0
}

// isDigest reports whether an entity tag has the shape of an MD5.
func isDigest(tag string) bool {
	if len(tag) != 2*md5.Size {
		return false
	}
	for _, c := range []byte(tag) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
