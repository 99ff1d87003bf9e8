// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
)

// compare requires that dir holds the objects, with the SHA-256 that they were made with, and
// no other file.
func compare(dir string, objects []object) error {
	files := 0
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files++
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("look at the copy: %w", err)
	}
	if files != len(objects) {
		return fmt.Errorf("the copy has %d files, want %d", files, len(objects))
	}
	var mutex sync.Mutex
	var wrong []error
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for _, o := range objects {
		group.Go(func() error {
			if err := compareFile(filepath.Join(dir, o.Key), o); err != nil {
				mutex.Lock()
				defer mutex.Unlock()
				wrong = append(wrong, err)
			}
			return nil
		})
	}
	_ = group.Wait() // The errors are in wrong: all of them are counted.
	if len(wrong) > 3 {
		wrong = append(wrong[:3], fmt.Errorf("and %d more", len(wrong)-3))
	}
	return errors.Join(wrong...)
}

func compareFile(path string, o object) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	hash := sha256.New()
	size, err := io.Copy(hash, f)
	if err != nil {
		return err
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); size != o.Size || sum != o.SHA256 {
		return fmt.Errorf("%s has %d bytes with SHA-256 %s, want %d with %s", o.Key, size, sum, o.Size, o.SHA256)
	}
	return nil
}
