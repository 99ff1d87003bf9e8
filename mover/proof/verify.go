// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
)

// readBuffers hold one piece of a file each; 256 KiB keeps the number of
// system calls low and the memory of a dozen workers in single megabytes.
var readBuffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// Expecter asks what the content of an entry must come to.
type Expecter func(context.Context, plan.Entry) (Expectation, error)

// Compare compares an open file, which has the size of its object, with that object.
func (p *Prover) Compare(ctx context.Context, f io.ReadSeeker, e plan.Entry, expect Expecter) (Method, error) {
	want, err := expect(ctx, e)
	if err != nil {
		return Unverified, err
	}
	same, err := DigestFile(ctx, f, want)
	if err != nil {
		return Unverified, fmt.Errorf("read back %s: %w", plan.Quote(e.Path), err)
	}
	if same {
		return want.Method, nil
	}
	return p.Settle(ctx, e, f, want)
}

// Settle is for bytes that did not match. Before the transfer is blamed, S3 is
// asked whether it is still the object that was listed, and for a checksum
// that does not depend on what an entity tag means here. Only where S3 says that
// the entity tag is no digest of the content has nothing been disproven; the caller
// knows that the bytes came just now.
func (p *Prover) Settle(ctx context.Context, e plan.Entry, f io.ReadSeeker, tried Expectation) (Method, error) {
	want, err := p.expectOtherwise(ctx, e, tried)
	if err != nil || want.Method == BySize {
		return want.Method, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return Unverified, fmt.Errorf("read back %s: %w", plan.Quote(e.Path), err)
	}
	same, err := DigestFile(ctx, f, want)
	if err != nil {
		return Unverified, fmt.Errorf("read back %s: %w", plan.Quote(e.Path), err)
	}
	if !same {
		return Unverified, fault.ErrDiffers
	}
	return want.Method, nil
}

// expectOtherwise says how else an object that did not match may be recognised, or that it
// differs.
func (p *Prover) expectOtherwise(ctx context.Context, e plan.Entry, tried Expectation) (Expectation, error) {
	info, err := p.Asker.Unchanged(ctx, p.Plan, e)
	if err != nil {
		return Expectation{}, err
	}
	want := Expectation{size: e.Size, tag: e.ETag}
	switch sum, algo := objectChecksum(info); {
	case sum != "" && tried.Method != ByChecksum:
		want.Method, want.sum, want.algo = ByChecksum, sum, algo
		return want, nil
	case (encrypted(info) || p.OpaqueTags) && tried.Method != ByChecksum:
		want.Method = BySize
		return want, nil
	case tried.Method == ByParts && len(tried.parts) == 1:
		// Parts of uneven sizes after all?
		if want.parts, err = p.partSizes(ctx, e); err != nil || want.parts == nil {
			return Expectation{}, errors.Join(fault.ErrDiffers, err)
		}
		want.Method = ByParts
		return want, nil
	}
	return Expectation{}, fault.ErrDiffers
}

// DigestFile reads a file from where it stands and compares, until the context ends. Sizes were
// compared by the caller, so nothing is read when there is nothing to compute.
func DigestFile(ctx context.Context, f io.Reader, want Expectation) (bool, error) {
	if want.Method == BySize {
		return true, nil
	}
	d := NewDigester(want)
	buffer, _ := readBuffers.Get().(*[]byte)
	defer readBuffers.Put(buffer)
	for {
		n, err := f.Read(*buffer)
		_, _ = d.Write((*buffer)[:n])
		if errors.Is(err, io.EOF) {
			return d.Matches(), nil
		}
		if err := errors.Join(err, context.Cause(ctx)); err != nil {
			return false, err
		}
	}
}
