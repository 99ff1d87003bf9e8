// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// perDirectory is how many files "probe many" puts into one directory.
const perDirectory = 100

func manyPath(dir string, i int) string {
	return filepath.Join(dir, fmt.Sprintf("d%03d", i/perDirectory), fmt.Sprintf("f%05d", i))
}

// makeMany makes so many files of up to 8 KiB, each with its own content, some of them empty.
func makeMany(dir, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return fmt.Errorf("count: %w", err)
	}
	for i := range n {
		path := manyPath(dir, i)
		if i%perDirectory == 0 {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
		}
		text := strings.Repeat(fmt.Sprintf("%07d\n", i), i*7%1024)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return syncAll(dir)
}

// changeMany adds to each file of "probe many" whose number is a multiple of every.
func changeMany(dir, every string) error {
	step, err := strconv.Atoi(every)
	if err != nil || step < 1 {
		return fmt.Errorf("every: %q is no step", every)
	}
	for i := 0; ; i += step {
		f, err := os.OpenFile(manyPath(dir, i), os.O_APPEND|os.O_WRONLY, 0)
		if errors.Is(err, os.ErrNotExist) && i > 0 {
			return syncAll(dir)
		}
		if err != nil {
			return err
		}
		_, err = f.WriteString("changed\n")
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
}

// syncAll makes a whole file system durable: one file at a time would take minutes.
func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}
