// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"sort"
	"strings"
)

// find returns the index of the entry with this path.
func (p *plan) find(path string) (int, bool) {
	i := sort.Search(len(p.entries), func(i int) bool { return p.entries[i].path >= path })
	return i, i < len(p.entries) && p.entries[i].path == path
}

// hasDir reports whether the plan needs a directory at path, which has no
// trailing slash. Entries are sorted, so whatever is below it comes right
// after the place where "path/" would be.
func (p *plan) hasDir(path string) bool {
	i, _ := p.find(path + "/")
	return i < len(p.entries) && strings.HasPrefix(p.entries[i].path, path+"/")
}

// eachDir calls visit once for every directory of the sorted plan, parents
// first, without its trailing slash. Everything below a directory is
// contiguous, so a directory is new when the path before did not share it.
func (p *plan) eachDir(visit func(dir string)) {
	previous := ""
	for _, e := range p.entries {
		for at, c := range []byte(e.path) {
			if c == '/' && !strings.HasPrefix(previous, e.path[:at+1]) {
				visit(e.path[:at])
			}
		}
		previous = e.path
	}
}

// dropClashes refuses what cannot exist beside something else: a file where a
// directory is needed, and the second of two objects for one path. A key "a"
// next to "a/b" is mostly an empty stand-in for the directory, so it is the
// file that goes.
func (p *planner) dropClashes() {
	drop := make(map[int]string)
	for i := 1; i < len(p.entries); i++ {
		if p.entries[i].path == p.entries[i-1].path {
			drop[i] = "another object has the same path"
		}
	}
	p.dirs = 0
	p.eachDir(func(dir string) {
		p.dirs++
		for i, ok := p.find(dir); ok && i < len(p.entries) && p.entries[i].path == dir; i++ {
			drop[i] = "other keys need a directory of this name"
		}
	})
	if len(drop) == 0 {
		return
	}
	kept := p.entries[:0]
	for i, e := range p.entries {
		if problem, ok := drop[i]; ok {
			p.refuse(e.key, problem)
			p.bytes -= e.size
			continue
		}
		kept = append(kept, e)
	}
	p.entries = kept
}

// files counts the entries that are files.
func (p *plan) files() int {
	n := 0
	for _, e := range p.entries {
		if !e.isDir() {
			n++
		}
	}
	return n
}
