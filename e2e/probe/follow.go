// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// follow reads every file below a directory again and again, and prints a line each time that one is another
// than before. It ends when the file end is there. Names that begin with a dot, and what is below such directories, are
// nobody's to read.
func follow(ctx context.Context, out io.Writer, dir, end string) error {
	lines := json.NewEncoder(out)
	last := map[string]string{}
	for ctx.Err() == nil {
		_, err := os.Stat(end)
		over := err == nil // One more look after that.
		err = walk(dir, func(path string, info fs.FileInfo) error {
			if !info.Mode().IsRegular() || strings.Contains("/"+path, "/.") {
				return nil
			}
			sum, err := fileSum(filepath.Join(dir, path))
			switch {
			case errors.Is(err, fs.ErrNotExist), err == nil && last[path] == sum:
				return nil
			case err != nil:
				return err
			}
			last[path] = sum
			return lines.Encode(entry{Path: path, SHA256: sum})
		})
		if over || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return ctx.Err()
}
