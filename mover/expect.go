// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"crypto/md5" // #nosec G501 -- what S3 calls an entity tag.
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/source"
)

// verifySize is the policy that compares sizes only.
const verifySize = "Size"

// expect says how an object's bytes will be recognised. Most objects need no
// request for that: their entity tag is an MD5. A multipart one needs the size
// of its parts, an opaque one a checksum.
func (m *mover) expect(ctx context.Context, e plan.Entry) (expectation, error) {
	if m.request.Transfer.Verify == verifySize && e.Size > 0 {
		return expectation{size: e.Size, tag: e.ETag, method: bySize}, nil
	}
	return m.expectContent(ctx, e)
}

// expectContent is expect whatever spec.transfer.verify says.
func (m *mover) expectContent(ctx context.Context, e plan.Entry) (expectation, error) {
	want := expectation{size: e.Size, tag: e.ETag, method: byMD5}
	switch {
	case e.Size == 0:
		want.tag = plan.ETag{Sum: md5.Sum(nil)} // #nosec G401 -- There is only one empty file.
		return want, nil
	case e.ETag.Parts == 0:
		return want, nil
	case e.ETag.Parts > 0:
		size, err := m.partSize(ctx, e, 1)
		if err != nil {
			return expectation{}, err
		}
		if evenParts(e, size) {
			want.method, want.parts = byParts, []int64{size}
			return want, nil
		}
	}
	return m.expectChecksum(ctx, e)
}

// evenParts reports whether parts of this size, the last one shorter, make up
// the object.
func evenParts(e plan.Entry, size int64) bool {
	n := int64(e.ETag.Parts)
	return size > 0 && (e.Size+size-1)/size == n
}

// partSize returns the size of one part, or 0 when the server does not tell. A server that
// is in trouble does not say that: the error is returned, because a file must not be
// accepted for less than S3 knows about it.
func (m *mover) partSize(ctx context.Context, e plan.Entry, part int) (int64, error) {
	info, err := m.source.Head(ctx, e.Key, minio.StatObjectOptions{PartNumber: part})
	for _, status := range []int{
		http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestedRangeNotSatisfiable, http.StatusNotImplemented,
	} {
		if source.Rejected(err, status) { // It does not know parts.
			return 0, nil
		}
	}
	if err != nil {
		return 0, err
	}
	if info.ETag == "" || info.Size >= e.Size && e.ETag.Parts > 1 {
		return 0, nil
	}
	return info.Size, nil
}

// expectChecksum asks S3 for what it knows about the object beyond its entity
// tag. It is the answer of last resort, so it also notices a changed object.
func (m *mover) expectChecksum(ctx context.Context, e plan.Entry) (expectation, error) {
	info, err := m.source.Unchanged(ctx, m.plan, e)
	if err != nil {
		return expectation{}, err
	}
	want := expectation{size: e.Size, tag: e.ETag}
	switch sum, algo := objectChecksum(info); {
	case sum != "":
		want.method, want.sum, want.algo = byChecksum, sum, algo
	case e.ETag.Parts > 0 && !source.Encrypted(info):
		want.method = byParts
		if want.parts, err = m.partSizes(ctx, e); err != nil {
			return expectation{}, err
		}
		if want.parts == nil {
			want.method = bySize
		}
	case e.ETag.Parts == plan.OpaqueETag || source.Encrypted(info):
		want.method = bySize
	default:
		want.method = byMD5
	}
	return want, nil
}

// maxPartLookups bounds the requests spent on one object of uneven parts; S3 knows no
// object of more parts.
const maxPartLookups = 10_000

// partSizes asks for the size of every part, or returns nil where the server does not tell.
func (m *mover) partSizes(ctx context.Context, e plan.Entry) ([]int64, error) {
	if e.ETag.Parts > maxPartLookups {
		return nil, nil // No server tells that.
	}
	sizes, errs := make([]int64, e.ETag.Parts), make([]error, e.ETag.Parts)
	if sizes[0], errs[0] = m.partSize(ctx, e, 1); sizes[0] == 0 {
		return nil, errs[0] // Spares the other requests.
	}
	source.Parallel(source.StatWorkers, len(sizes)-1, func(i int) { sizes[i+1], errs[i+1] = m.partSize(ctx, e, i+2) })
	total := int64(0)
	for i, s := range sizes {
		if s <= 0 || errs[i] != nil {
			return nil, errs[i]
		}
		total += s
	}
	if total != e.Size {
		return nil, nil // It told something else.
	}
	return sizes, nil
}
