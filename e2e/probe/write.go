// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// pattern is an endless text in which every 16 bytes tell their own offset, so
// that a shifted or repeated piece shows.
type pattern struct{ offset int64 }

func (p *pattern) Read(b []byte) (int, error) {
	const width = 16
	n := 0
	for n < len(b) {
		line := fmt.Sprintf("%015x\n", p.offset/width*width)
		c := copy(b[n:], line[p.offset%width:])
		n += c
		p.offset += int64(c)
	}
	return n, nil
}

func writeFile(path, size string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return writePattern(path, size, os.O_CREATE|os.O_TRUNC|os.O_WRONLY)
}

func writeDevice(path, size string) error { return writePattern(path, size, os.O_WRONLY) }

func writePattern(path, size string, flags int) error {
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return fmt.Errorf("size: %w", err)
	}
	f, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, &pattern{}, n)
	return errors.Join(err, f.Sync(), f.Close())
}

func appendText(path, text string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}
