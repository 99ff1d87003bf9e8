// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"sort"
	"strings"
)

// Find returns the index of the entry with this path.
func (p *Plan) Find(path string) (int, bool) {
	return sort.Find(p.Entries.Len(), func(i int) int { return -p.Entries.compareTo(i, path) })
}

// HasDir reports whether the plan needs a directory at path, which has no
// trailing slash. Entries are sorted, so whatever is below it comes right
// after the place where "path/" would be.
func (p *Plan) HasDir(path string) bool {
	i, _ := p.Find(path + "/")
	return i < p.Entries.Len() && strings.HasPrefix(p.Entries.directory(i), path+"/")
}

// EachDir calls visit once for every directory of the sorted plan, parents
// first, without its trailing slash. Everything below a directory is
// contiguous, so a directory is new when the path before did not share it.
func (p *Plan) EachDir(visit func(dir string)) {
	previous := ""
	for i := range p.Entries.Len() {
		path := p.Entries.directory(i)
		for at, c := range []byte(path) {
			if c == '/' && !strings.HasPrefix(previous, path[:at+1]) {
				visit(path[:at])
			}
		}
		previous = path
	}
}

// dropClashes refuses what cannot exist beside something else: a file where a
// directory is needed, and the second of two objects for one path. A key "a"
// next to "a/b" is mostly an empty stand-in for the directory, so it is the
// file that goes.
func (p *Planner) dropClashes() {
	drop := make(map[int]string)
	for i := 1; i < p.Entries.Len(); i++ {
		if p.Entries.compare(i-1, i) == 0 {
			drop[i] = "another object has the same path"
		}
	}
	p.Dirs = 0
	p.EachDir(func(dir string) {
		p.Dirs++
		for i, ok := p.Find(dir); ok && i < p.Entries.Len() && p.Entries.compareTo(i, dir) == 0; i++ {
			drop[i] = "other keys need a directory of this name"
		}
	})
	if len(drop) == 0 {
		return
	}
	kept := Entries{base: p.Base}
	for i, e := range p.Entries.All() {
		if problem, ok := drop[i]; ok {
			p.refuse(e.Key, problem)
			p.Bytes -= e.Size
			continue
		}
		kept.add(e)
	}
	p.Entries = kept
}

// Files counts the entries that are files.
func (p *Plan) Files() int {
	n := 0
	for i := range p.Entries.Len() {
		if !p.Entries.IsDir(i) {
			n++
		}
	}
	return n
}
