// SPDX-License-Identifier: Apache-2.0

// Package ledger records what became of every object of a plan, and keeps that on the volume so
// that it survives the mover. It notes methods of comparison and knows none.
package ledger

import (
	"maps"
	"slices"
	"sync"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// Ledger records what became of every entry of the plan. It is shared by the
// workers that verify, the journal and the progress messages.
type Ledger struct {
	Plan *plan.Plan

	mu      sync.Mutex
	how     []plan.Method // By entry; Unverified is what still has to be done.
	files   []fileMark    // By entry: the file that was verified.
	failed  map[int]error // The last error of an entry that is still unverified.
	counts  [plan.Methods]int64
	objects int64 // Verified, directories included.
	bytes   int64
	pending []int32 // Verified and not yet in the journal.
	// contested entries are files that mc writes although they were there, or are on their way.
	contested map[int]bool

	Partial Partials
}

// New begins a ledger of a plan of which nothing is verified.
func New(p *plan.Plan) *Ledger {
	return &Ledger{
		Plan:      p,
		how:       make([]plan.Method, p.Entries.Len()),
		files:     make([]fileMark, p.Entries.Len()),
		failed:    make(map[int]error),
		contested: make(map[int]bool),
	}
}

// fileMark is the identity of a file of known size, in little memory.
type fileMark struct {
	inode   uint64
	modTime int64
}

func markOf(file plan.Identity) fileMark {
	return fileMark{inode: file.Inode, modTime: file.ModTime}
}

// Verified records that a file was compared with its object. A directory has no identity.
func (l *Ledger) Verified(i int, by plan.Method, file plan.Identity, journalled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.how[i] != plan.Unverified || l.contested[i] {
		return
	}
	l.how[i], l.files[i] = by, markOf(file)
	l.counts[by]++
	l.objects++
	l.bytes += l.Plan.Entries.Size(i)
	delete(l.failed, i)
	l.Partial.Drop(i)
	if !journalled {
		l.pending = append(l.pending, int32(i)) // #nosec G115 -- a plan of 2^31 entries does not fit in memory.
	}
}

// Fail records why an entry could not be verified.
func (l *Ledger) Fail(i int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.how[i] == plan.Unverified {
		l.failed[i] = err
	}
}

// Contest takes a verification back, because mc writes the file again, and takes none for as
// long as anything writes: mc replaces the file, and who has it open verifies one without a name.
func (l *Ledger) Contest(i int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.contested[i] = true
	l.takeBack(i)
}

// Doubt takes a verification back, because another file than the one that was verified has its
// path.
func (l *Ledger) Doubt(i int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.takeBack(i)
}

func (l *Ledger) takeBack(i int) {
	if l.how[i] == plan.Unverified {
		return
	}
	l.counts[l.how[i]]--
	l.how[i] = plan.Unverified
	l.objects--
	l.bytes -= l.Plan.Entries.Size(i)
}

// Uncontested hands out the contested entries once nothing writes any more.
func (l *Ledger) Uncontested() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.Sorted(maps.Keys(l.contested))
	clear(l.contested)
	for _, i := range list {
		l.Partial.Drop(i) // What had arrived of it has no name either.
	}
	return list
}

// IsVerified tells whether an entry was compared with its object, by whatever method.
func (l *Ledger) IsVerified(i int) bool { return l.Method(i) != plan.Unverified }

// IsFile reports whether this is the file of an entry that was verified, and no other.
func (l *Ledger) IsFile(i int, file plan.Identity) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.how[i] != plan.Unverified && l.files[i] == markOf(file) && l.Plan.Entries.Size(i) == file.Size
}

// IsAlike is IsFile where inode numbers do not last: a network file system may make up others.
func (l *Ledger) IsAlike(i int, file plan.Identity) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.how[i] != plan.Unverified && l.files[i].modTime == file.ModTime && l.Plan.Entries.Size(i) == file.Size
}

// Present is how many bytes of an entry are on the volume already, and whether its file is.
func (l *Ledger) Present(i int) (bytes int64, exists bool) {
	if l.IsVerified(i) {
		return l.Plan.Entries.Size(i), true
	}
	n := l.Partial.Bytes(i)
	return n, n > 0
}

// Method is how an entry was verified.
func (l *Ledger) Method(i int) plan.Method {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.how[i]
}

// StartRound returns the files that are not verified, in the plan's order, and
// forgets why an earlier round failed.
func (l *Ledger) StartRound() []int {
	l.mu.Lock()
	clear(l.failed)
	l.mu.Unlock()
	return l.Todo()
}

// Todo returns the files that are not verified, in the plan's order.
func (l *Ledger) Todo() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.Grow([]int(nil), len(l.how)-int(l.objects)) // Not twice as much on the way there.
	for i, how := range l.how {
		if how == plan.Unverified && !l.Plan.Entries.IsDir(i) {
			list = append(list, i)
		}
	}
	return list
}

// VerifiedBy returns the entries that were verified by this method.
func (l *Ledger) VerifiedBy(by plan.Method) []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []int
	for i, how := range l.how {
		if how == by {
			list = append(list, i)
		}
	}
	return list
}

// takePending hands out what the journal does not know yet.
func (l *Ledger) takePending() []int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.pending
	l.pending = nil
	return slices.DeleteFunc(list, func(i int32) bool { return l.how[i] == plan.Unverified })
}

// Totals are the objects and bytes that are verified.
func (l *Ledger) Totals() (objects, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.objects, l.bytes
}

// FirstFailure returns the error of the first entry that failed, in the
// plan's order, so that the same trouble gives the same message. A source that
// changed explains more than anything else.
func (l *Ledger) FirstFailure() (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failed) == 0 {
		return 0, nil
	}
	indices := slices.Sorted(maps.Keys(l.failed))
	for _, i := range indices {
		if fault.ReasonOf(l.failed[i]) == wire.SourceChanged {
			return i, l.failed[i]
		}
	}
	return indices[0], l.failed[indices[0]]
}

// ByMethod counts the entries by how they were verified.
func (l *Ledger) ByMethod() [plan.Methods]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}
