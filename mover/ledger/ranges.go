// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"sync"

	"github.com/s3populator/s3populator/mover/plan"
)

// PartialStep is by how much a large file must have grown to be worth a line in the
// journal, and a sync of the volume.
const PartialStep = plan.LargeSize

// Partials are the large files of which the beginning has arrived, by entry.
type Partials struct {
	mu      sync.Mutex
	arrived map[int]int64 // Bytes from the file's start.
	noted   map[int]int64 // What the journal says of it.
	before  map[int]int64 // The most that an attempt before this one had noted.
}

// Inherit records how far an earlier attempt was. It stays when the beginning proves
// worthless: reaching that point once more is no progress.
func (p *Partials) Inherit(begun map[int]int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = begun
}

// beyond reports whether one of these lengths is more than any earlier attempt had.
func (p *Partials) beyond(lengths map[int]int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, n := range lengths {
		if n > p.before[i] {
			return true
		}
	}
	return false
}

// Reached records that a file has its first n bytes.
func (p *Partials) Reached(i int, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.arrived == nil {
		p.arrived, p.noted = map[int]int64{}, map[int]int64{}
	}
	p.arrived[i] = n
}

// Drop forgets a file: it is complete, or its beginning proved worthless.
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
	return p.arrived[i]
}

// due are the files that have grown by a step since the journal heard of them.
func (p *Partials) due() map[int]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	due := map[int]int64{}
	for i, n := range p.arrived {
		if n-p.noted[i] >= PartialStep {
			due[i] = n
		}
	}
	return due
}

// Note records that these lengths are durable and in the journal.
func (p *Partials) Note(lengths map[int]int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, n := range lengths {
		if _, going := p.arrived[i]; going {
			p.noted[i] = n
		}
	}
}
