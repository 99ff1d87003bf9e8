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
	first, err := os.Create(filepath.Join(dir, "first"))
	if err != nil {
		return fmt.Errorf("create the first: %w", err)
	}
	defer func() { _ = first.Close() }()
	second, err := os.Create(filepath.Join(dir, "second"))
	if err != nil {
		return fmt.Errorf("create the second: %w", err)
	}
	defer func() { _ = second.Close() }()
	for number := 1; ctx.Err() == nil; number++ {
		for _, f := range []*os.File{first, second} {
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
