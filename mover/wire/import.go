// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ImportOptions say how objects become files of a volume that may be in use.
type ImportOptions struct {
	// Run is the UID of the S3Import. It is part of the names of temporary files, so that another attempt
	// removes what an earlier one has left.
	Run string `json:"run,omitempty"`
	// DeleteExtra removes regular files below Volume.TargetPath that the source does not have, once all
	// others are verified. What Include and Exclude leave out stays. It needs Source.Prefix, not Objects: a
	// list of objects, or one object that has a file's name as its target, does not say what a directory holds.
	DeleteExtra bool `json:"deleteExtra,omitempty"`
}

// checkImport refuses an import that a mover could only guess the meaning of.
func checkImport(r Request) error {
	i := r.Import
	if r.Operation != Import {
		if i != (ImportOptions{}) {
			return fmt.Errorf("import is set for operation %s", r.Operation)
		}
		return nil
	}
	switch {
	case r.Volume.Mode == Block:
		return errors.New("volume.mode Block cannot be imported into: a device in use has no files to replace; " +
			"a claim with volumeMode: Filesystem has")
	case r.Volume.Mode != Filesystem:
		return fmt.Errorf("unknown volume.mode %q", r.Volume.Mode)
	case !IsUID(r.Volume.ClaimUID):
		return fmt.Errorf("volume.claimUID %q is not a UID", r.Volume.ClaimUID)
	case r.Volume.Began:
		return fmt.Errorf("volume.began is set for operation %s", r.Operation)
	case slices.Contains(strings.Split(r.Volume.TargetPath, "/"), ".."):
		return fmt.Errorf("volume.targetPath %q leads out of the volume", r.Volume.TargetPath)
	case !IsUID(i.Run):
		return fmt.Errorf("import.run %q is not a UID", i.Run)
	case i.DeleteExtra && len(r.Source.Objects) > 0:
		return errors.New("import.deleteExtra excludes source.objects: a list of objects does not say what a directory holds")
	}
	return nil
}
