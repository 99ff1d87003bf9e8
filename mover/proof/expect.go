// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"context"
	"crypto/md5" // #nosec G501 -- what S3 calls an entity tag.
	"net/http"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
)

// VerifySize is the policy that compares sizes only.
const VerifySize = "Size"

// asker is who is asked about objects.
type asker interface {
	// Head asks for one object's metadata.
	Head(ctx context.Context, key string, o minio.StatObjectOptions) (minio.ObjectInfo, error)
	// Unchanged asks for the metadata of a planned object; it fails when it is another one by now.
	Unchanged(ctx context.Context, p *plan.Plan, e plan.Entry) (minio.ObjectInfo, error)
}

// Prover says how objects are recognised.
type Prover struct {
	Asker    asker
	Plan     *plan.Plan
	SizeOnly bool // spec.transfer.verify is Size.
	// OpaqueTags means that entity tags are no digests, whatever they look like.
	OpaqueTags bool
}

// Expect says how an object's bytes will be recognised. Most objects need no
// request for that: their entity tag is an MD5. A multipart one needs the size
// of its parts, an opaque one a checksum.
func (p *Prover) Expect(ctx context.Context, e plan.Entry) (Expectation, error) {
	if p.SizeOnly && e.Size > 0 {
		return Expectation{size: e.Size, tag: e.ETag, Method: BySize}, nil
	}
	return p.ExpectContent(ctx, e)
}

// ExpectContent is expect whatever spec.transfer.verify says.
func (p *Prover) ExpectContent(ctx context.Context, e plan.Entry) (Expectation, error) {
	want := Expectation{size: e.Size, tag: e.ETag, Method: ByMD5}
	switch {
	case e.Size == 0:
		return p.expectNothing(ctx, e)
	case e.ETag.Parts == 0:
		return want, nil
	case e.ETag.Parts > 0:
		size, err := p.partSize(ctx, e, 1)
		if err != nil {
			return Expectation{}, err
		}
		if EvenParts(e, size) {
			want.Method, want.parts = ByParts, []int64{size}
			return want, nil
		}
	}
	return p.expectChecksum(ctx, e)
}

// expectNothing is for an object that is listed as empty: there is only one empty file. When its
// entity tag is not that of nothing, S3 is asked whether it is empty indeed, because a server may
// list no sizes.
func (p *Prover) expectNothing(ctx context.Context, e plan.Entry) (Expectation, error) {
	nothing := plan.ETag{Sum: md5.Sum(nil)} // #nosec G401
	if e.ETag != nothing {
		if _, err := p.Asker.Unchanged(ctx, p.Plan, e); err != nil {
			return Expectation{}, err
		}
	}
	return Expectation{tag: nothing, Method: ByMD5}, nil
}

// EvenParts reports whether parts of this size, the last one shorter, make up
// the object.
func EvenParts(e plan.Entry, size int64) bool {
	n := int64(e.ETag.Parts)
	return size > 0 && (e.Size+size-1)/size == n
}

// PartSize is the size of the parts of a multipart object that are all of one size but the
// last, or 0 where that is not so, or not known, or not asked for.
func (p *Prover) PartSize(ctx context.Context, e plan.Entry) (int64, error) {
	if e.ETag.Parts <= 0 || p.SizeOnly {
		return 0, nil
	}
	size, err := p.partSize(ctx, e, 1)
	if err != nil || !EvenParts(e, size) {
		return 0, err
	}
	return size, nil
}

// partSize returns the size of one part, or 0 when the server does not tell. A server that
// is in trouble does not say that: the error is returned, because a file must not be
// accepted for less than S3 knows about it.
func (p *Prover) partSize(ctx context.Context, e plan.Entry, part int) (int64, error) {
	info, err := p.Asker.Head(ctx, e.Key, minio.StatObjectOptions{PartNumber: part})
	for _, status := range []int{
		http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestedRangeNotSatisfiable,
		http.StatusNotImplemented,
	} {
		if fault.Rejected(err, status) { // It does not know parts.
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
func (p *Prover) expectChecksum(ctx context.Context, e plan.Entry) (Expectation, error) {
	info, err := p.Asker.Unchanged(ctx, p.Plan, e)
	if err != nil {
		return Expectation{}, err
	}
	want := Expectation{size: e.Size, tag: e.ETag}
	switch sum, algo := objectChecksum(info); {
	case sum != "":
		want.Method, want.sum, want.algo = ByChecksum, sum, algo
	case e.ETag.Parts > 0 && !encrypted(info):
		want.Method = ByParts
		if want.parts, err = p.partSizes(ctx, e); err != nil {
			return Expectation{}, err
		}
		if want.parts == nil {
			want.Method = BySize
		}
	case e.ETag.Parts == plan.OpaqueETag || encrypted(info):
		want.Method = BySize
	default:
		want.Method = ByMD5
	}
	return want, nil
}

// partLookups bounds the requests in flight about the parts of one object.
const partLookups = 16

// maxPartLookups bounds the requests spent on one object of uneven parts; S3 knows no
// object of more parts.
const maxPartLookups = 10_000

// partSizes asks for the size of every part, or returns nil where the server does not tell.
func (p *Prover) partSizes(ctx context.Context, e plan.Entry) ([]int64, error) {
	if e.ETag.Parts > maxPartLookups {
		return nil, nil // No server tells that.
	}
	sizes, errs := make([]int64, e.ETag.Parts), make([]error, e.ETag.Parts)
	if sizes[0], errs[0] = p.partSize(ctx, e, 1); sizes[0] == 0 {
		return nil, errs[0] // Spares the other requests.
	}
	var asking errgroup.Group
	asking.SetLimit(partLookups)
	for i := 1; i < len(sizes); i++ {
		asking.Go(func() error { sizes[i], errs[i] = p.partSize(ctx, e, i+1); return nil })
	}
	_ = asking.Wait() // The errors are looked at one by one.
	total := int64(0)
	for i, s := range sizes {
		if s <= 0 || errs[i] != nil {
			return nil, errs[i]
		}
		total += s
	}
	if total != e.Size {
		// It told of something else: VersityGW once told of the parts of an upload under way. That is no reason to refuse
		// the object, which such a server says nothing else of.
		return nil, nil
	}
	return sizes, nil
}

// encrypted reports whether S3 says that the entity tag is not a digest of the
// content: objects under a KMS key or a key of the client's.
func encrypted(o minio.ObjectInfo) bool {
	h := o.Headers
	kind := h.Get("X-Amz-Server-Side-Encryption")
	return kind == "aws:kms" || kind == "aws:kms:dsse" || h.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm") != ""
}
