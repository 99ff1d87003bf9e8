// SPDX-License-Identifier: Apache-2.0

// Package mount owns the mount table of the process's mount namespace: it reads, makes and removes mounts.
// It refuses to delete anything below a mount point; it only removes the empty directory or file
// that carried the mount.
package mount

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Mount is one line of the mount table.
type Mount struct {
	// Device is major:minor of the mounted file system.
	Device string
	// Root is the path inside that file system which is shown; for a bind-mounted device node it is
	// the node's path below /dev.
	Root string
	// Point is where it is mounted.
	Point string
	// ReadOnly tells that this mount, or its whole file system, refuses writes.
	ReadOnly bool
}

// List reads the mount table.
func List() ([]Mount, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("open mount table: %w", err)
	}
	defer func() { _ = file.Close() }()
	return parse(file)
}

// At lists the mounts on exactly this path, the visible one last.
func At(point string) ([]Mount, error) {
	all, err := List()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(m Mount) bool { return m.Point != point }), nil
}

// parse reads lines such as
//
//	36 35 7:3 /root /mnt/point rw,noatime shared:1 - ext4 /dev/loop3 rw
//
// with any number of optional fields before the dash.
func parse(r io.Reader) ([]Mount, error) {
	var mounts []Mount
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		dash := slices.Index(fields, "-")
		if dash < 6 || len(fields) < dash+4 {
			return nil, fmt.Errorf("parse mount table: line %q is not as documented in proc(5)", lines.Text())
		}
		mounts = append(mounts, Mount{
			Device:   fields[2],
			Root:     unescape(fields[3]),
			Point:    unescape(fields[4]),
			ReadOnly: readOnly(fields[5]) || readOnly(fields[dash+3]),
		})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read mount table: %w", err)
	}
	return mounts, nil
}

func readOnly(options string) bool {
	return slices.Contains(strings.Split(options, ","), "ro")
}

// unescape undoes the octal escapes of the four characters that would break a line into other fields.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace
