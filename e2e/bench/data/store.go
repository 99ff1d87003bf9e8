// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// stored are the latest results of this machine: a run of some sets leaves those of others.
type stored struct {
	dir string
}

func (b *bench) stored() stored { return stored{filepath.Join(b.cache, "bench-data", "results")} }

const resumeName = "resume"

func (s stored) write(name string, value any) error {
	text, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return fmt.Errorf("make a directory for results: %w", err)
	}
	return os.WriteFile(filepath.Join(s.dir, name+".json"), text, 0o644)
}

// read returns all, in the order of the sets.
func (s stored) read() (results []*result, resumes *resumption, err error) {
	for _, set := range sets {
		for _, target := range []string{onMemory, onDisk} {
			r := &result{}
			found, err := s.one(set.name+"-"+target, r)
			if err != nil {
				return nil, nil, err
			}
			if found {
				results = append(results, r)
			}
		}
	}
	resumes = &resumption{}
	found, err := s.one(resumeName, resumes)
	if !found {
		resumes = nil
	}
	return results, resumes, err
}

func (s stored) one(name string, into any) (found bool, err error) {
	path := filepath.Join(s.dir, name+".json")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return false, fmt.Errorf("read the result %s: %w", path, err)
	}
	return true, nil
}
