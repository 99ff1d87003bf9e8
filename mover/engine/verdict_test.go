// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"crypto/md5"
	"errors"
	"testing"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
)

func sumOf(a engine.Algorithm, value [16]byte) engine.Sum {
	s := engine.Sum{Algorithm: a}
	copy(s.Value[:], value[:])
	return s
}

// TestJudge: only sums that agree are a proof, and only S3's own checksum disproves.
func TestJudge(t *testing.T) {
	t.Parallel()
	right, wrong := md5.Sum([]byte("right")), md5.Sum([]byte("wrong"))
	single := plan.Entry{Size: 5, ETag: plan.ETag{Sum: right}}
	parts := plan.Entry{Size: 12 << 20, ETag: plan.ETag{Sum: right, Parts: 3}}
	opaque := plan.Entry{Size: 5, ETag: plan.ETag{Parts: -1}}
	ofParts := func(size int64) engine.Sum {
		s := sumOf(engine.MD5Parts, right)
		s.PartSize = size
		return s
	}
	for name, tt := range map[string]struct {
		entry          plan.Entry
		received, said engine.Sum
		sizeOnly       bool
		loose          bool  // No answer named the object.
		size           int64 // Of the file; 0: the right one.
		want           proof.Method
		err            error
	}{
		"the tag is the MD5": {entry: single, received: sumOf(engine.MD5, right), want: proof.ByMD5},
		"the tag is another": {entry: single, received: sumOf(engine.MD5, wrong), want: proof.Unverified},
		"S3 says so": {
			entry:    opaque,
			received: sumOf(engine.CRC32C, right),
			said:     sumOf(engine.CRC32C, right),
			want:     proof.ByChecksum,
		},
		"S3 says otherwise": {
			entry:    single,
			received: sumOf(engine.CRC32C, wrong),
			said:     sumOf(engine.CRC32C, right),
			err:      fault.ErrDiffers,
		},
		"S3 speaks of another sum": {
			entry:    opaque,
			received: sumOf(engine.CRC32C, right),
			said:     sumOf(engine.CRC64NVME, right),
			want:     proof.Unverified,
		},
		"a CRC that looks like the tag":   {entry: single, received: sumOf(engine.CRC32C, right), want: proof.Unverified},
		"an MD5 that is a tag of parts":   {entry: parts, received: sumOf(engine.MD5, right), want: proof.Unverified},
		"the parts":                       {entry: parts, received: ofParts(5 << 20), want: proof.ByParts},
		"as many parts as there are not":  {entry: parts, received: ofParts(2 << 20), want: proof.Unverified},
		"no sum":                          {entry: single, want: proof.Unverified},
		"no sum, and none is wanted":      {entry: single, sizeOnly: true, want: proof.BySize},
		"another size, and no sum wanted": {entry: single, sizeOnly: true, size: 4, err: fault.ErrDiffers},
		"another size": {
			entry:    single,
			received: sumOf(engine.MD5, right),
			size:     4,
			err:      fault.ErrDiffers,
		},
		"nothing":                {want: proof.ByMD5},
		"nothing of some object": {loose: true, want: proof.Unverified},
	} {
		size := tt.entry.Size
		if tt.size > 0 {
			size = tt.size
		}
		e := engine.Evidence{File: engine.Identity{Size: size}, Received: tt.received, Said: tt.said, Pinned: !tt.loose}
		if by, err := engine.Judge(tt.entry, e, tt.sizeOnly); by != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v (%v), want %v (%v)", name, by, err, tt.want, tt.err)
		}
	}
}
