// SPDX-License-Identifier: Apache-2.0

package story

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Content is what a volume must hold: objects by path. A path that ends with a slash is
// a directory.
type Content map[string]Object

// entry is one line of "probe sha256".
type entry struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Mode   string `json:"mode"`
}

// In moves everything into a directory.
func (c Content) In(dir string) Content {
	out := Content{}
	for p, o := range c {
		out[dir+"/"+p] = o
	}
	return out
}

// directories are those that must exist, the parents of every path included.
func (c Content) directories() map[string]bool {
	dirs := map[string]bool{}
	for p := range c {
		p, isDir := strings.CutSuffix(p, "/")
		if isDir {
			dirs[p] = true
		}
		for d := path.Dir(p); d != "."; d = path.Dir(d) {
			dirs[d] = true
		}
	}
	return dirs
}

// differences compares what a second pod found on the volume with what must be there:
// every path, size and checksum, nothing missing and nothing besides.
func (c Content) differences(found []entry) []string {
	var out []string
	dirs, files := c.directories(), maps.Clone(c)
	maps.DeleteFunc(files, func(p string, _ Object) bool { return strings.HasSuffix(p, "/") })
	for _, e := range found {
		if e.Mode != "" && e.Mode[0] == 'd' {
			if !dirs[e.Path] {
				out = append(out, fmt.Sprintf("directory %q should not be there", e.Path))
			}
			delete(dirs, e.Path)
			continue
		}
		want, ok := files[e.Path]
		switch {
		case !ok:
			out = append(out, fmt.Sprintf("%q (%s, %d bytes) should not be there", e.Path, e.Mode, e.Size))
		case e.Mode[0] != '-':
			out = append(out, fmt.Sprintf("%q is no regular file but %s", e.Path, e.Mode))
		case e.Size != want.Size || e.SHA256 != want.SHA256:
			out = append(out, fmt.Sprintf("%q has %d bytes, sha256 %.12s…, the object %d bytes, sha256 %.12s…",
				e.Path, e.Size, e.SHA256, want.Size, want.SHA256))
		}
		delete(files, e.Path)
	}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		out = append(out, fmt.Sprintf("%q is missing", p))
	}
	for _, p := range slices.Sorted(maps.Keys(dirs)) {
		out = append(out, fmt.Sprintf("directory %q is missing", p))
	}
	return out
}
