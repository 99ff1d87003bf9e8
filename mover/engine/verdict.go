// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
)

// Judge says by which method evidence proves that a file is its object; proof.Unverified is that it
// proves nothing, either way. It is pure.
//
//nolint:gocyclo // A table of evidence.
func Judge(e plan.Entry, got Evidence, sizeOnly bool) (proof.Method, error) {
	switch {
	case got.File.Size != e.Size:
		return proof.Unverified, fault.ErrDiffers
	case e.Size == 0 && got.Pinned:
		return proof.ByMD5, nil // There is only one empty file, and S3 gave it for this object.
	case sizeOnly:
		return proof.BySize, nil
	case got.Received.Algorithm == None:
		return proof.Unverified, nil
	case got.Said.Algorithm == got.Received.Algorithm && got.Said != got.Received:
		return proof.Unverified, fault.ErrDiffers
	case got.Said.Algorithm == got.Received.Algorithm:
		return proof.ByChecksum, nil
	case [16]byte(got.Received.Value[:16]) != e.ETag.Sum:
		return proof.Unverified, nil
	case got.Received.Algorithm == MD5 && e.ETag.Parts == 0:
		return proof.ByMD5, nil
	case got.Received.Algorithm == MD5Parts && proof.EvenParts(e, got.Received.PartSize):
		return proof.ByParts, nil
	}
	return proof.Unverified, nil
}
