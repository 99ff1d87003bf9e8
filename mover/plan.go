// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"sort"
	"strings"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// entry is one object and the file or directory it becomes.
type entry struct {
	key  string
	path string // Below the target directory; a directory ends in "/".
	size int64
	tag  etag
}

func (e entry) isDir() bool { return strings.HasSuffix(e.path, "/") }

// plan is what the volume must hold, no more and no less. It does not change
// once it is made: a source that changes is noticed by comparing with it.
type plan struct {
	entries []entry  // Sorted by path, bytewise; no two the same.
	opaque  []string // Entity tags without a digest, by etag.text.
	bytes   int64
	dirs    int64 // Directories that must exist below the target, implied ones included.
	skipped int64 // Unsafe keys left out by policy.
	// mirrorable means that the plan is everything below base under its own
	// name, so that one listing of mc's own leads to the same files.
	mirrorable bool
	// base is the part of the keys that is not part of the paths: empty or ending in "/".
	base string
}

// planner turns a listing into a plan.
type planner struct {
	plan
	filter   filter
	target   string
	tolerate bool // Unsafe keys are left out rather than refused.
	unsafe   []string
	memory   arena
}

func newPlanner(r wire.Request) (*planner, error) {
	f, err := newFilter(r.Source)
	if err != nil {
		return nil, err
	}
	if problem := checkTarget(r.Volume.TargetPath); problem != "" {
		return nil, fault.New(wire.MoverBroken, "spec.targetPath %s cannot be used: %s", quoteKey(r.Volume.TargetPath), problem)
	}
	base, whole := basePrefix(r.Source)
	return &planner{
		plan:     plan{base: base, mirrorable: whole && f.empty() && len(r.Source.Objects) == 0 && !direct(r.Source)},
		filter:   f,
		target:   r.Volume.TargetPath,
		tolerate: r.Policy.UnsafeKeys == wire.Skip || r.Operation == wire.Inventory,
	}, nil
}

// add plans one listed object under the path it has below the base prefix.
func (p *planner) add(key string, size int64, tag string) {
	path := strings.TrimPrefix(key, p.base)
	if path == "" && size == 0 {
		return // The marker of the prefix itself: that directory is the target.
	}
	if path != "" && !p.filter.selects(path) {
		p.mirrorable = false
		return
	}
	p.place(key, path, size, tag)
}

// addAs plans an explicitly named object; an empty path means its own. Globs
// do not apply: who names an object wants it.
func (p *planner) addAs(o wire.Object, size int64, tag string) {
	path := o.Path
	if path == "" {
		path = strings.TrimPrefix(o.Key, p.base)
	}
	if strings.HasSuffix(path, "/") && !strings.HasSuffix(o.Key, "/") {
		p.refuse(o.Key, "its path ends in a slash")
		return
	}
	p.place(o.Key, path, size, tag)
}

func (p *planner) place(key, path string, size int64, tag string) {
	if problem := checkPath(p.target, path); problem != "" {
		p.refuse(key, problem)
		return
	}
	if strings.HasSuffix(path, "/") && size > 0 {
		p.refuse(key, "it ends in a slash but has content")
		return
	}
	e := entry{key: p.memory.keep(key), path: path, size: size, tag: p.tag(tag)}
	if at := len(key) - len(path); at >= 0 && key[at:] == path {
		e.path = e.key[at:] // Shares the key's memory.
	}
	p.entries = append(p.entries, e)
	p.bytes += size
}

func (p *planner) tag(s string) etag {
	t, ok := parseETag(s)
	if !ok {
		t.text = int32(len(p.opaque)) // #nosec G115 -- a listing of 2^31 objects does not fit in memory.
		p.opaque = append(p.opaque, trimETag(s))
	}
	return t
}

// tagText renders an entity tag as S3 gave it.
func (p *plan) tagText(t etag) string {
	if t.parts == opaqueETag {
		return p.opaque[t.text]
	}
	return t.String()
}

func (p *planner) refuse(key, problem string) {
	const examples = 3 // In a message; the count is given anyway.
	if len(p.unsafe) < examples {
		p.unsafe = append(p.unsafe, quoteKey(key)+" ("+problem+")")
	}
	p.skipped++
	p.mirrorable = false
}

// finish sorts, looks for clashes and applies the policy on unsafe keys.
func (p *planner) finish() (*plan, error) {
	byPath := func(i, j int) bool { return p.entries[i].path < p.entries[j].path }
	if !sort.SliceIsSorted(p.entries, byPath) {
		sort.SliceStable(p.entries, byPath)
	}
	p.dropClashes()
	if p.skipped > 0 && !p.tolerate {
		return nil, fault.New(wire.UnsafeKey, "%d of the selected keys cannot become files on a volume: %s; rename them, "+
			"leave them out with spec.exclude, or set spec.unsafeKeys: Skip", p.skipped, strings.Join(p.unsafe, ", "))
	}
	return &p.plan, nil
}

// arena keeps many small strings in few allocations.
type arena struct{ block *strings.Builder }

func (a *arena) keep(s string) string {
	const size = 64 << 10 // Loses at most one key's length per block.
	if a.block == nil || a.block.Cap()-a.block.Len() < len(s) {
		a.block = new(strings.Builder)
		a.block.Grow(max(size, len(s)))
	}
	start := a.block.Len()
	a.block.WriteString(s)
	return a.block.String()[start:]
}
