// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// entry is one line of "probe sha256". A directory has no checksum, a symbolic
// link that of its target's text.
type entry struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256,omitempty"`
	Mode   string `json:"mode"`
}

// lostAndFound is mkfs's, not ours.
const lostAndFound = "lost+found"

// walk visits everything below dir in the order of names, except lost+found.
func walk(dir string, visit func(path string, info fs.FileInfo) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		relative, relErr := filepath.Rel(dir, path)
		if relErr != nil {
			return relErr
		}
		if relative == lostAndFound {
			return fs.SkipDir
		}
		if err != nil {
			return err
		}
		if relative == "." {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return visit(relative, info)
	})
}

func listSums(out io.Writer, dir string) error {
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	return walk(dir, func(path string, info fs.FileInfo) error {
		e := entry{Path: path, Size: info.Size(), Mode: info.Mode().String()}
		var err error
		switch {
		case info.Mode().IsRegular():
			e.SHA256, err = fileSum(filepath.Join(dir, path))
		case info.Mode()&fs.ModeSymlink != 0:
			var target string
			target, err = os.Readlink(filepath.Join(dir, path))
			sum := sha256.Sum256([]byte(target))
			e.SHA256 = hex.EncodeToString(sum[:])
		default:
			e.Size = 0 // a directory's size is the file system's affair
		}
		if err != nil {
			return err
		}
		return lines.Encode(e)
	})
}

func listNames(out io.Writer, dir string) error {
	return walk(dir, func(path string, info fs.FileInfo) error {
		if info.IsDir() {
			path += "/"
		}
		_, err := fmt.Fprintln(out, path)
		return err
	})
}

func copyFile(out io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = io.Copy(out, f)
	return err
}

func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}

// deviceSum reads the first size bytes of a device, and fails if it has fewer.
func deviceSum(out io.Writer, device, size string) error {
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return fmt.Errorf("size: %w", err)
	}
	f, err := os.Open(device)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.CopyN(h, f, n); err != nil {
		return fmt.Errorf("read %d bytes of %s: %w", n, device, err)
	}
	_, err = fmt.Fprintln(out, hex.EncodeToString(h.Sum(nil)))
	return err
}
