// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// oddNames are names that a careless program trips over.
var oddNames = []string{
	"plain", "with space", " leading", "trailing ", "-rf", ".hidden", "a%41b", "100%", "a+b", "a&b=c?d#e", "new\nline",
	"\u00fc-NFC", "u\u0308-NFD", "quote'\"`", "back\\slash", "star*[x]{y}", "~", "<xml>&amp;", "manifest.json",
}

// makeOdd fills a directory with files of all those names, in modes that their owner can read, with old
// times; with links and with empty directories.
func makeOdd(dir string) error {
	modes := []os.FileMode{0o600, 0o644, 0o755, 0o400, 0o640, 0o751}
	var errs []error
	for i, name := range oddNames {
		path := filepath.Join(dir, "odd", oddNames[(i+7)%len(oddNames)], name)
		errs = append(errs, os.MkdirAll(filepath.Dir(path), 0o755),
			os.WriteFile(path, []byte(strings.Repeat(name, i*i)), 0o600),
			unix.Setxattr(path, "user.number", []byte{byte(i), 0, 255}, 0), os.Chmod(path, modes[i%len(modes)]),
			os.Chtimes(path, time.Time{}, time.Unix(int64(1_000_000_000+i*77_777), int64(i)*1000+1)))
	}
	links := map[string]string{
		"inside": "odd/plain", "outside": "/etc/passwd", "dangling": "no/such/file", "to-dir": "odd",
	}
	for link, target := range links {
		errs = append(errs, os.Symlink(target, filepath.Join(dir, link)))
	}
	errs = append(errs, os.MkdirAll(filepath.Join(dir, "empty", "deep"), 0o750),
		writeFile(filepath.Join(dir, "large.bin"), "20971520"))
	return errors.Join(errs...)
}

// number is the extended attribute that makeOdd has set; empty for none.
func number(path string) string {
	value := make([]byte, 16)
	n, err := unix.Getxattr(path, "user.number", value)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%q", value[:n])
}

// branch is one line of "probe tree".
type branch struct {
	entry

	Target  string `json:"target,omitempty"`
	Number  string `json:"number,omitempty"` // The attribute that "probe odd" sets, as a Go string.
	ModTime int64  `json:"modTime,omitempty"`
}

// listTree tells what an export keeps of each entry. The setgid bit of directories is the volume's.
func listTree(out io.Writer, dir string) error {
	lines := json.NewEncoder(out)
	return walk(dir, func(path string, info fs.FileInfo) error {
		b := branch{entry: entry{Path: fmt.Sprintf("%q", path), Mode: (info.Mode() &^ fs.ModeSetgid).String()}}
		var err error
		switch {
		case info.Mode().IsRegular():
			b.Size, b.ModTime = info.Size(), info.ModTime().UnixNano()
			b.Number = number(filepath.Join(dir, path))
			b.SHA256, err = fileSum(filepath.Join(dir, path))
		case info.Mode()&fs.ModeSymlink != 0:
			b.Target, err = os.Readlink(filepath.Join(dir, path))
		}
		if err != nil {
			return err
		}
		return lines.Encode(b)
	})
}
