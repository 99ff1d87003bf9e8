// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// writePair writes one number to two files in turn, each durably before the next, and goes on with the number after
// it until it is told to end: at any moment the second file has the number of the first, or the one before.
func writePair(ctx context.Context, dir string) error {
	var files [2]*os.File
	for i, name := range []string{"first", "second"} {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY, 0o644) // #nosec G302 G304
		if err != nil {
			return fmt.Errorf("open %s: %w", name, err)
		}
		defer func() { _ = f.Close() }()
		files[i] = f
	}
	for number := 1; ctx.Err() == nil; number++ {
		for _, f := range files {
			if _, err := fmt.Fprintf(&at{f}, "%020d", number); err != nil {
				return fmt.Errorf("write %s: %w", f.Name(), err)
			}
			if err := f.Sync(); err != nil {
				return fmt.Errorf("sync %s: %w", f.Name(), err)
			}
		}
	}
	return nil
}

// at writes to the beginning of a file.
type at struct{ file *os.File }

func (w *at) Write(p []byte) (int, error) { return w.file.WriteAt(p, 0) }
