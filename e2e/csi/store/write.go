// SPDX-License-Identifier: Apache-2.0

package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ID derives an id from the name in a request, so that a repeated request finds the first one's
// result. Names that are safe as a directory, which all of Kubernetes' are, stay readable.
func ID(name string) string {
	if validID.MatchString(name) {
		return name
	}
	digest := sha256.Sum256([]byte(name))
	return "sha256-" + hex.EncodeToString(digest[:])
}

// Create adds a record whose image is made by fill. Either both exist afterwards or neither.
func (s *Shelf[T]) Create(id string, record T, fill func(image string) error) (err error) {
	if !validID.MatchString(id) {
		return fmt.Errorf("create record: id %q has characters that are not safe in a path", id)
	}
	draft := filepath.Join(s.dir, draftPrefix+id)
	if err := errors.Join(os.RemoveAll(draft), os.Mkdir(draft, 0o700)); err != nil {
		return fmt.Errorf("make draft: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(draft))
		}
	}()
	if err := fill(filepath.Join(draft, imageFile)); err != nil {
		return err
	}
	if err := write(filepath.Join(draft, recordFile), record); err != nil {
		return err
	}
	if err := os.Rename(draft, filepath.Join(s.dir, id)); err != nil {
		return fmt.Errorf("publish record: %w", err)
	}
	return nil
}

// Put replaces the record of an id that exists.
func (s *Shelf[T]) Put(id string, record T) error {
	return write(filepath.Join(s.dir, id, recordFile), record)
}

// Delete removes a record and its image. One that does not exist is no error.
func (s *Shelf[T]) Delete(id string) error {
	if !validID.MatchString(id) {
		return nil // no record can have this id.
	}
	// The draft name makes the record vanish in one step; Open removes what a crash leaves of it.
	doomed := filepath.Join(s.dir, draftPrefix+id)
	if err := os.RemoveAll(doomed); err != nil {
		return fmt.Errorf("remove old draft: %w", err)
	}
	err := os.Rename(filepath.Join(s.dir, id), doomed)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := errors.Join(err, os.RemoveAll(doomed)); err != nil {
		return fmt.Errorf("delete record: %w", err)
	}
	return nil
}

func write(path string, record any) error {
	content, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	fresh := path + ".new"
	if err := os.WriteFile(fresh, content, 0o600); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("replace record: %w", err)
	}
	return nil
}
