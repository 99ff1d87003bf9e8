// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"crypto/md5" // #nosec G501 -- what S3 calls an entity tag.
	"errors"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/wire"
)

// verifySize is the policy that compares sizes only.
const verifySize = "Size"

// expect says how an object's bytes will be recognised. Most objects need no
// request for that: their entity tag is an MD5. A multipart one needs the size
// of its parts, an opaque one a checksum.
func (m *mover) expect(ctx context.Context, e entry) (expectation, error) {
	want := expectation{size: e.size, tag: e.tag, method: byMD5}
	switch {
	case e.size == 0:
		want.tag = etag{sum: md5.Sum(nil)} // #nosec G401 -- There is only one empty file.
		return want, nil
	case m.request.Transfer.Verify == verifySize:
		want.method = bySize
		return want, nil
	case e.tag.parts == 0:
		return want, nil
	case e.tag.parts > 0:
		if size := m.partSize(ctx, e, 1); evenParts(e, size) {
			want.method, want.parts = byParts, []int64{size}
			return want, nil
		}
	}
	return m.expectChecksum(ctx, e)
}

// evenParts reports whether parts of this size, the last one shorter, make up
// the object.
func evenParts(e entry, size int64) bool {
	n := int64(e.tag.parts)
	return size > 0 && (e.size+size-1)/size == n
}

// partSize returns the size of one part, or 0 when the server does not tell.
func (m *mover) partSize(ctx context.Context, e entry, part int) int64 {
	info, err := m.head(ctx, e.key, minio.StatObjectOptions{PartNumber: part})
	if err != nil || info.ETag == "" || info.Size >= e.size && e.tag.parts > 1 {
		return 0
	}
	return info.Size
}

// expectChecksum asks S3 for what it knows about the object beyond its entity
// tag. It is the answer of last resort, so it also notices a changed object.
func (m *mover) expectChecksum(ctx context.Context, e entry) (expectation, error) {
	info, err := m.unchanged(ctx, e)
	if err != nil {
		return expectation{}, err
	}
	want := expectation{size: e.size, tag: e.tag}
	switch sum, algo := objectChecksum(info); {
	case sum != "":
		want.method, want.sum, want.algo = byChecksum, sum, algo
	case e.tag.parts > 0 && !encrypted(info):
		want.method, want.parts = byParts, m.partSizes(ctx, e)
		if want.parts == nil {
			want.method = bySize
		}
	case e.tag.parts == opaqueETag || encrypted(info):
		want.method = bySize
	default:
		want.method = byMD5
	}
	return want, nil
}

// maxPartLookups bounds the requests spent on one object of uneven parts.
// Beyond it, only its size is compared, and the report says so.
const maxPartLookups = 1000

// partSizes asks for the size of every part, or returns nil.
func (m *mover) partSizes(ctx context.Context, e entry) []int64 {
	if e.tag.parts > maxPartLookups {
		return nil
	}
	sizes := make([]int64, e.tag.parts)
	parallel(statWorkers, len(sizes), func(i int) { sizes[i] = m.partSize(ctx, e, i+1) })
	total := int64(0)
	for _, s := range sizes {
		if s <= 0 {
			return nil
		}
		total += s
	}
	if total != e.size {
		return nil
	}
	return sizes
}

// encrypted reports whether S3 says that the entity tag is not a digest of the
// content: objects under a KMS key or a key of the client's.
func encrypted(o minio.ObjectInfo) bool {
	h := o.Headers
	kind := h.Get("X-Amz-Server-Side-Encryption")
	return kind == "aws:kms" || kind == "aws:kms:dsse" || h.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm") != ""
}

// unchanged looks an object up and compares it with the listing. An object
// that is another one by now, or gone, is no fault of the transfer.
func (m *mover) unchanged(ctx context.Context, e entry) (minio.ObjectInfo, error) {
	o := minio.StatObjectOptions{Checksum: true}
	info, err := m.head(ctx, e.key, o)
	switch {
	case isNoSuchKey(err):
		return info, fail(wire.SourceChanged, "object %s was deleted while the volume was loaded", quoteKey(e.key)).because(err)
	case rejected(err, http.StatusBadRequest): // A server that does not know checksums.
		info, err = m.head(ctx, e.key, minio.StatObjectOptions{})
	}
	if err != nil {
		return info, err
	}
	if info.Size != e.size || trimETag(info.ETag) != m.plan.tagText(e.tag) {
		return info, fail(wire.SourceChanged, "object %s was overwritten while the volume was loaded", quoteKey(e.key))
	}
	return info, nil
}

func rejected(err error, status int) bool {
	var response minio.ErrorResponse
	return errors.As(err, &response) && response.StatusCode == status
}
