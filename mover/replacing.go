// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/volume"
)

// replacing makes a new file, and first removes one that is in its place: an earlier try of this mover has left it.
// The journal is looked at before: a mover that was superseded is told so some seconds later, and by then another one
// may have completed the file. A file is never emptied: who still writes to the one that was there, writes to no other.
func replacing[F any](v *volume.Volume, j *ledger.Journal, path string, create func() (F, error)) (F, error) {
	f, err := create()
	if errors.Is(err, fs.ErrExist) {
		if err := j.Owned(); err != nil {
			return f, err //nolint:wrapcheck // It is a failure.
		}
		if err := v.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return f, fmt.Errorf("remove %s: %w", plan.Quote(path), fault.NotWritable(err))
		}
		f, err = create()
	}
	if err != nil {
		return f, fault.NotWritable(err)
	}
	return f, nil
}
