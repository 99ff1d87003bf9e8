// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/wire"
)

// noSpaceLeft is for the volume that ran full although there seemed to be room.
func noSpaceLeft(err error) *Failure {
	return New(wire.VolumeTooSmall, "the volume ran full while it was written, although the listing seemed to fit; raise "+
		"spec.resources.requests.storage of the claim, or set spec.sizing.onTooSmall: Grow").Because(err)
}

// readOnly is for a file system that takes no write. Mostly it was made so after an error of its
// device, and is not for the next mover, or on another node.
func readOnly(err error) *Failure {
	return New(wire.VolumeReadOnly, "the volume cannot be written: its file system is read-only; look at the log of the "+
		"node and at the storage: a file system becomes read-only after an error of its device").Because(err)
}

// IsReadOnly tells that a file system takes no write.
func IsReadOnly(err error) bool {
	return ReasonOf(err) == wire.VolumeReadOnly || errors.Is(err, unix.EROFS)
}

// NotWritable makes a permission problem the user's and leaves the rest alone.
func NotWritable(err error) error {
	if errors.Is(err, unix.EROFS) {
		return readOnly(err)
	}
	if errors.Is(err, fs.ErrPermission) {
		return New(wire.VolumeNotWritable, "the volume cannot be written: %v; the mover runs as user %d: "+
			"set spec.mover.podSecurityContext to what the storage class needs", err, os.Getuid()).Because(err)
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return noSpaceLeft(err)
	}
	return fmt.Errorf("open the volume: %w", err)
}

// Pathless drops the path of a file system error, which says nothing to a user.
func Pathless(err error) error {
	if pe, ok := err.(*fs.PathError); ok { //nolint:errorlint // Only the outermost layer is dropped.
		return pe.Err
	}
	return err
}

// Fenced ends a mover whose volume has another one now.
func Fenced(now string) *Failure {
	return New(wire.Fenced, "another mover has taken the volume over (%s); this one has ended without another write", now)
}
