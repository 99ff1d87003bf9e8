// SPDX-License-Identifier: Apache-2.0

package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// Loosen lets the mover read and write again what an attempt before it had begun to restore: a file
// that may not be read could not be compared, and nothing be removed from a directory that may not
// be written.
func Loosen(v *volume.Volume) error {
	err := fs.WalkDir(v.Data.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (name == wire.JournalDir || slices.Contains(plan.StorageOwn, name)) {
			return fs.SkipDir
		}
		if name == "." || !e.IsDir() && !e.Type().IsRegular() {
			return nil
		}
		return loosen(v, name, e)
	})
	if err != nil {
		return fmt.Errorf("open what was restored: %w", fault.NotWritable(err))
	}
	return nil
}

func loosen(v *volume.Volume, name string, e fs.DirEntry) error {
	const read, all = 0o600, 0o700
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err //nolint:wrapcheck // The caller says what failed.
	}
	need := fs.FileMode(read)
	if e.IsDir() {
		need = all
	}
	if info.Mode()&need == need {
		return nil
	}
	err = v.Data.Chmod(name, info.Mode()|need)
	if errors.Is(err, fs.ErrPermission) {
		return nil // It has another owner; whether that matters is seen later.
	}
	return err //nolint:wrapcheck // The caller says what failed.
}
