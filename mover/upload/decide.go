// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"time"

	"github.com/s3populator/s3populator/mover/wire"
)

// facts are what is known of one file before any of it is read.
type facts struct {
	// Exists means that there is an object under its key; sameSize that it is as long as the file.
	exists, sameSize bool
	// unchanged means that the file is the one that the last complete manifest below this prefix
	// lists, by inode, size and time of modification; sameObject that so is the object.
	unchanged, sameObject bool
	// copyable means that the last complete run has an object of the very same file.
	copyable bool
	// ours means that the object says to be of this run.
	ours bool
}

// isIdentical tells that both the volume and S3 have what the last manifest lists.
func (f facts) isIdentical() bool { return f.exists && f.sameSize && f.unchanged && f.sameObject }

// policy is what was asked for.
type policy struct {
	onExisting string // wire.SkipIdentical, wire.Overwrite or wire.Fail.
	// resumed means that an attempt of this run has written before: what exists may be its work.
	resumed bool
	since   time.Time // When it has begun to, by the clock of S3; of its manifest, where its mark is gone.
	marked  bool      // The mark of that is there.
}

// action is what becomes of a file.
type action int

// The actions. Compare reads the file, and sends it where it differs from the object.
const (
	send action = iota
	leave
	compare
	copyLast
	refuse
)

// rules are asked from the top; the first that holds decides.
var rules = []struct {
	holds  func(f facts, p policy) bool
	action action
}{
	{func(f facts, p policy) bool { return f.exists && p.onExisting == wire.Fail && !p.resumed && !f.ours }, refuse},
	{func(_ facts, p policy) bool { return p.onExisting == wire.Overwrite && !p.resumed }, send},
	{func(f facts, p policy) bool { return f.isIdentical() && p.onExisting != wire.Overwrite }, leave},
	{func(f facts, _ policy) bool { return f.exists && f.sameSize }, compare},
	{func(f facts, p policy) bool { return f.copyable && p.onExisting != wire.Overwrite }, copyLast},
	{func(facts, policy) bool { return true }, send},
}

func decide(f facts, p policy) action {
	for _, r := range rules {
		if r.holds(f, p) {
			return r.action
		}
	}
	return send
}
