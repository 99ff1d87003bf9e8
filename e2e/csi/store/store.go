// SPDX-License-Identifier: Apache-2.0

// Package store owns what the driver knows about volumes and snapshots: one directory for each,
// holding its record and its image. The disk is the only copy, so a restarted driver knows all that
// the old one did. It refuses to know about devices and mounts.
package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	recordFile = "record.json"
	imageFile  = "image"
	// draftPrefix marks a directory whose content is not complete; no id starts with a dot.
	draftPrefix = ".draft-"
)

// ErrNotFound is returned for an id that has no record.
var ErrNotFound = errors.New("no such record")

// validID is what an id may be, so that it is safe as the name of a directory.
var validID = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,127}$`)

// Origin names what a volume was copied from; both fields are empty for one that started empty.
type Origin struct {
	Snapshot string `json:"snapshot,omitempty"`
	Volume   string `json:"volume,omitempty"`
}

// Owner is the claim or snapshot a record was made for, as the sidecar told. It never changes, even
// when the volume changes hands.
type Owner struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// Volume is the record of a volume.
type Volume struct {
	ID            string            `json:"id"`
	Owner         Owner             `json:"owner"`
	CapacityBytes int64             `json:"capacityBytes"`
	Block         bool              `json:"block"`
	AccessModes   []string          `json:"accessModes"`
	Parameters    map[string]string `json:"parameters,omitempty"`
	// Attributes are the mutable parameters, changed by a VolumeAttributesClass.
	Attributes map[string]string `json:"attributes,omitempty"`
	Origin     Origin            `json:"origin"`
	CreatedAt  time.Time         `json:"createdAt"`
}

// Snapshot is the record of a snapshot.
type Snapshot struct {
	ID        string    `json:"id"`
	Owner     Owner     `json:"owner"`
	Volume    string    `json:"volume"`
	SizeBytes int64     `json:"sizeBytes"`
	Block     bool      `json:"block"`
	CreatedAt time.Time `json:"createdAt"`
}

// Shelf keeps the records of one type.
type Shelf[T any] struct {
	dir string
}

// Open makes a store in dir and throws away what a killed driver left half made.
func Open[T any](dir string) (*Shelf[T], error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	drafts, err := filepath.Glob(filepath.Join(dir, draftPrefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("list drafts: %w", err)
	}
	for _, draft := range drafts {
		if err := os.RemoveAll(draft); err != nil {
			return nil, fmt.Errorf("remove draft: %w", err)
		}
	}
	return &Shelf[T]{dir: dir}, nil
}

// Image is the path of the image that belongs to an id.
func (s *Shelf[T]) Image(id string) string {
	return filepath.Join(s.dir, id, imageFile)
}

// Get reads a record.
func (s *Shelf[T]) Get(id string) (T, error) {
	var record T
	if !validID.MatchString(id) {
		return record, fmt.Errorf("id %q: %w", id, ErrNotFound)
	}
	content, err := os.ReadFile(filepath.Join(s.dir, id, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return record, fmt.Errorf("id %q: %w", id, ErrNotFound)
	}
	if err != nil {
		return record, fmt.Errorf("read record: %w", err)
	}
	if err := json.Unmarshal(content, &record); err != nil {
		return record, fmt.Errorf("parse record %s: %w", id, err)
	}
	return record, nil
}

// List reads every record, ordered by id.
func (s *Shelf[T]) List() ([]T, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list records: %w", err)
	}
	records := make([]T, 0, len(entries))
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), draftPrefix) {
			continue
		}
		record, err := s.Get(entry.Name())
		if errors.Is(err, ErrNotFound) {
			continue // removed since it was listed.
		}
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}
