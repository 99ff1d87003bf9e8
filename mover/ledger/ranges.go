// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"
	"sync"

	"github.com/s3populator/s3populator/mover/plan"
)

// PartialStep is by how much a large file must have grown to be worth a line in the
// journal, and a sync of the volume.
const PartialStep = plan.LargeSize

// Extents are parts of a file, sorted and apart.
type Extents []plan.Range

// With adds a range, which may overlap others.
func (x Extents) With(r plan.Range) Extents {
	if r.Length <= 0 {
		return x
	}
	// Those that it overlaps or touches become one with it.
	first, _ := slices.BinarySearchFunc(x, r.Offset, func(e plan.Range, at int64) int {
		return int(min(max(e.End()-at, -1), 1))
	})
	last := first
	end := r.End()
	for last < len(x) && x[last].Offset <= end {
		r.Offset, end = min(r.Offset, x[last].Offset), max(end, x[last].End())
		last++
	}
	r.Length = end - r.Offset
	return slices.Replace(x, first, last, r)
}

// Beginning is how many bytes are there from the file's start on.
func (x Extents) Beginning() int64 {
	if len(x) == 0 || x[0].Offset > 0 {
		return 0
	}
	return x[0].Length
}

// Bytes are all that are there.
func (x Extents) Bytes() (sum int64) {
	for _, r := range x {
		sum += r.Length
	}
	return sum
}

// Has tells that all of a range is there.
func (x Extents) Has(r plan.Range) bool {
	return slices.ContainsFunc(x, func(e plan.Range) bool { return e.Offset <= r.Offset && e.End() >= r.End() })
}

// Partials are the large files of which parts have arrived, by entry.
type Partials struct {
	mu      sync.Mutex
	arrived map[int]Extents
	noted   map[int]int64 // How many bytes the journal says are durable.
	before  map[int]int64 // The most that an attempt before this one had noted.
}

// Inherit records how far an earlier attempt was. It stays when what it left proves
// worthless: reaching that point once more is no progress.
func (p *Partials) Inherit(begun map[int]int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = begun
}

// beyond reports whether one of these is more than any earlier attempt had.
func (p *Partials) beyond(parts map[int]Extents) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, x := range parts {
		if x.Bytes() > p.before[i] {
			return true
		}
	}
	return false
}

// Reached records that a file has its first n bytes, and nothing else.
func (p *Partials) Reached(i int, n int64) {
	p.set(i, Extents{{Length: n}})
}

// Keep records what is there of a file.
func (p *Partials) Keep(i int, x Extents) {
	p.set(i, slices.Clone(x))
}

func (p *Partials) set(i int, x Extents) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begin()
	p.arrived[i] = x
}

func (p *Partials) begin() {
	if p.arrived == nil {
		p.arrived, p.noted = map[int]Extents{}, map[int]int64{}
	}
}

// Grew records that a range of a file is there too.
func (p *Partials) Grew(i int, r plan.Range) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begin()
	p.arrived[i] = p.arrived[i].With(r)
}

// Drop forgets a file: it is complete, or what was there of it proved worthless.
func (p *Partials) Drop(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.arrived, i)
	delete(p.noted, i)
}

// Of is how many bytes of an entry have arrived from its beginning on.
func (p *Partials) Of(i int) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.arrived[i].Beginning()
}

// Ranges are what has arrived of an entry.
func (p *Partials) Ranges(i int) Extents {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.arrived[i])
}

// Bytes is how much of an entry has arrived, wherever.
func (p *Partials) Bytes(i int) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.arrived[i].Bytes()
}

// due are the files that have grown by a step since the journal heard of them.
func (p *Partials) due() map[int]Extents {
	p.mu.Lock()
	defer p.mu.Unlock()
	due := map[int]Extents{}
	for i, x := range p.arrived {
		if x.Bytes()-p.noted[i] >= PartialStep {
			due[i] = slices.Clone(x)
		}
	}
	return due
}

// Note records that these are durable and in the journal.
func (p *Partials) Note(parts map[int]Extents) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, x := range parts {
		if _, going := p.arrived[i]; going {
			p.noted[i] = x.Bytes()
		}
	}
}
