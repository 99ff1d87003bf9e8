// SPDX-License-Identifier: Apache-2.0

// Package plan decides what a volume must hold: which objects become which files, what
// identifies them, and what is refused. It is pure: a listing goes in and a plan comes out.
package plan

import (
	"strings"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// LargeSize in bytes is from where on an object is fetched by itself, digested on its way, and
// gone on with where it was interrupted.
const LargeSize = 32 << 20

// Entry is one object and the file or directory it becomes.
type Entry struct {
	Key  string
	Path string // Below the target directory; a directory ends in "/".
	Size int64
	ETag ETag
}

// IsDir tells that the entry is a directory, whose path ends with a slash.
func (e Entry) IsDir() bool { return strings.HasSuffix(e.Path, "/") }

// Plan is what the volume must hold, no more and no less. It does not change
// once it is made: a source that changes is noticed by comparing with it.
type Plan struct {
	Entries Entries  // Sorted by path, bytewise; no two the same.
	opaque  []string // Entity tags without a digest, by etag.text.
	Bytes   int64
	Dirs    int64 // Directories that must exist below the target, implied ones included.
	Skipped int64 // Unsafe keys left out by policy.
	// Mirrorable means that the plan is everything below base under its own
	// name, so that one listing of mc's own leads to the same files.
	Mirrorable bool
	// Base is the part of the keys that is not part of the paths: empty or ending in "/".
	Base string
}

// Planner turns a listing into a plan.
type Planner struct {
	Plan
	// Planned is shown every entry as it is added; nil for nobody.
	Planned  func(Entry)
	filter   Filter
	target   string
	tolerate bool // Unsafe keys are left out rather than refused.
	unsafe   []string
}

// NewPlanner fails for patterns and target paths that no volume can have.
func NewPlanner(r wire.Request) (*Planner, error) {
	f, err := NewFilter(r.Source)
	if err != nil {
		return nil, err
	}
	if problem := CheckTarget(r.Volume.TargetPath); problem != "" {
		return nil, fault.New(wire.MoverBroken, "spec.targetPath %s cannot be used: %s", Quote(r.Volume.TargetPath), problem)
	}
	base, whole := basePrefix(r.Source)
	return &Planner{
		Plan: Plan{
			Entries:    Entries{base: base},
			Base:       base,
			Mirrorable: whole && f.IsEmpty() && len(r.Source.Objects) == 0 && !Direct(r.Source),
		},
		filter:   f,
		target:   r.Volume.TargetPath,
		tolerate: r.Policy.UnsafeKeys == wire.Skip || r.Operation == wire.Inventory,
	}, nil
}

// Add plans one listed object under the path it has below the base prefix.
func (p *Planner) Add(key string, size int64, tag string) {
	path := strings.TrimPrefix(key, p.Base)
	if path == "" && size == 0 {
		return // The marker of the prefix itself: that directory is the target.
	}
	if path != "" && !p.filter.Takes(path) {
		p.Mirrorable = false
		return
	}
	p.place(key, path, size, tag)
}

// AddAs plans an explicitly named object; an empty path means its own. Globs
// do not apply: who names an object wants it.
func (p *Planner) AddAs(o wire.Object, size int64, tag string) {
	path := o.Path
	if path == "" {
		path = strings.TrimPrefix(o.Key, p.Base)
	}
	if strings.HasSuffix(path, "/") && !strings.HasSuffix(o.Key, "/") {
		p.refuse(o.Key, "its path ends in a slash")
		return
	}
	p.place(o.Key, path, size, tag)
}

func (p *Planner) place(key, path string, size int64, tag string) {
	if problem := checkPath(p.target, path); problem != "" {
		p.refuse(key, problem)
		return
	}
	if strings.HasSuffix(path, "/") && size > 0 {
		p.refuse(key, "it ends in a slash but has content")
		return
	}
	p.Entries.add(Entry{Key: key, Path: path, Size: size, ETag: p.tag(tag)})
	p.Bytes += size
	if p.Planned != nil {
		p.Planned(p.Entries.At(p.Entries.Len() - 1)) // What the listing has of it is part of a page.
	}
}

func (p *Planner) tag(s string) ETag {
	t, ok := parseETag(s)
	if !ok {
		t.text = int32(len(p.opaque)) // #nosec G115 -- a listing of 2^31 objects does not fit in memory.
		p.opaque = append(p.opaque, TrimETag(s))
	}
	return t
}

// TagText renders an entity tag as S3 gave it.
func (p *Plan) TagText(t ETag) string {
	if t.Parts == OpaqueETag {
		return p.opaque[t.text]
	}
	return t.String()
}

func (p *Planner) refuse(key, problem string) {
	const examples = 3 // In a message; the count is given anyway.
	if len(p.unsafe) < examples {
		p.unsafe = append(p.unsafe, Quote(key)+" ("+problem+")")
	}
	p.Skipped++
	p.Mirrorable = false
}

// Finish sorts, looks for clashes and applies the policy on unsafe keys.
func (p *Planner) Finish() (*Plan, error) {
	p.Entries.sort()
	p.dropClashes()
	if p.Skipped > 0 && !p.tolerate {
		return nil, fault.New(wire.UnsafeKey, "%d of the selected keys cannot become files on a volume: %s; rename them, "+
			"leave them out with spec.exclude, or set spec.unsafeKeys: Skip", p.Skipped, strings.Join(p.unsafe, ", "))
	}
	return &p.Plan, nil
}
