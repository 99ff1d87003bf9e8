// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"sort"
	"strings"
)

// Find returns the index of the entry with this path.
func (p *Plan) Find(path string) (int, bool) {
	i := sort.Search(len(p.Entries), func(i int) bool { return p.Entries[i].Path >= path })
	return i, i < len(p.Entries) && p.Entries[i].Path == path
}

// HasDir reports whether the plan needs a directory at path, which has no
// trailing slash. Entries are sorted, so whatever is below it comes right
// after the place where "path/" would be.
func (p *Plan) HasDir(path string) bool {
	i, _ := p.Find(path + "/")
	return i < len(p.Entries) && strings.HasPrefix(p.Entries[i].Path, path+"/")
}

// EachDir calls visit once for every directory of the sorted plan, parents
// first, without its trailing slash. Everything below a directory is
// contiguous, so a directory is new when the path before did not share it.
func (p *Plan) EachDir(visit func(dir string)) {
	previous := ""
	for _, e := range p.Entries {
		for at, c := range []byte(e.Path) {
			if c == '/' && !strings.HasPrefix(previous, e.Path[:at+1]) {
				visit(e.Path[:at])
			}
		}
		previous = e.Path
	}
}

// dropClashes refuses what cannot exist beside something else: a file where a
// directory is needed, and the second of two objects for one path. A key "a"
// next to "a/b" is mostly an empty stand-in for the directory, so it is the
// file that goes.
func (p *Planner) dropClashes() {
	drop := make(map[int]string)
	for i := 1; i < len(p.Entries); i++ {
		if p.Entries[i].Path == p.Entries[i-1].Path {
			drop[i] = "another object has the same path"
		}
	}
	p.Dirs = 0
	p.EachDir(func(dir string) {
		p.Dirs++
		for i, ok := p.Find(dir); ok && i < len(p.Entries) && p.Entries[i].Path == dir; i++ {
			drop[i] = "other keys need a directory of this name"
		}
	})
	if len(drop) == 0 {
		return
	}
	kept := p.Entries[:0]
	for i, e := range p.Entries {
		if problem, ok := drop[i]; ok {
			p.refuse(e.Key, problem)
			p.Bytes -= e.Size
			continue
		}
		kept = append(kept, e)
	}
	p.Entries = kept
}

// Files counts the entries that are files.
func (p *Plan) Files() int {
	n := 0
	for _, e := range p.Entries {
		if !e.IsDir() {
			n++
		}
	}
	return n
}
