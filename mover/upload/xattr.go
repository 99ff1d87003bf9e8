// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
)

// userAttribute begins the names of the attributes that any user may set. Others belong to the
// system: access lists, labels and capabilities do not leave the cluster.
const userAttribute = "user."

// attributesOf reads the extended attributes of an entry of a directory. The way through /proc goes
// by the descriptor, and follows no link; a file that may not be opened has attributes, too.
func attributesOf(d *os.File, name string) ([]manifest.XAttr, error) {
	at := "/proc/self/fd/" + strconv.Itoa(int(d.Fd())) + "/" + name
	names, err := listAttributes(at)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	var list []manifest.XAttr
	for n := range bytes.SplitSeq(names, []byte{0}) {
		if !strings.HasPrefix(string(n), userAttribute) {
			continue
		}
		value, err := attribute(at, string(n))
		if errors.Is(err, unix.ENODATA) {
			continue // It was removed meanwhile.
		}
		if err != nil {
			return nil, fmt.Errorf("read attribute %s: %w", plan.Quote(string(n)), err)
		}
		list = append(list, manifest.XAttr{Name: manifest.Bytes(n), Value: value})
	}
	slices.SortFunc(list, func(a, b manifest.XAttr) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return list, nil
}

// listAttributes returns names with a NUL after each; none where the file system knows no attributes.
func listAttributes(at string) ([]byte, error) {
	for {
		size, err := unix.Llistxattr(at, nil)
		if errors.Is(err, unix.ENOTSUP) || err == nil && size == 0 {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list attributes: %w", err)
		}
		names := make([]byte, size)
		size, err = unix.Llistxattr(at, names)
		if errors.Is(err, unix.ERANGE) {
			continue // There are more by now.
		}
		if err != nil {
			return nil, fmt.Errorf("list attributes: %w", err)
		}
		return names[:size], nil
	}
}

func attribute(at, name string) ([]byte, error) {
	for {
		size, err := unix.Lgetxattr(at, name, nil)
		if err != nil || size == 0 {
			return nil, err //nolint:wrapcheck // The caller names the attribute.
		}
		value := make([]byte, size)
		size, err = unix.Lgetxattr(at, name, value)
		if errors.Is(err, unix.ERANGE) {
			continue // It is longer by now.
		}
		if err != nil {
			return nil, err //nolint:wrapcheck // The caller names the attribute.
		}
		return value[:size], nil
	}
}
