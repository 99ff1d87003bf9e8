// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// Ownership is whose journal a volume carries.
type Ownership int

// Whose a journal can be.
const (
	Nobodys  Ownership = iota // There is none.
	Ours                      // Of this claim: whatever is on the volume is ours.
	Somebody                  // Not a journal at all, or one that cannot be read.
	Anothers                  // Of another claim, whose mover may be filling the volume at this moment.
)

// Occupancy is what is on a volume before a mover touches it.
type Occupancy struct {
	Journal Ownership
	Other   string   // UID of the claim whose journal it is, where that is another one.
	Foreign []string // Up to three names of what is not ours and not the file system's own.
}

// Admission is what a mover may do with a volume.
type Admission int

// What a mover may do.
const (
	Refuse    Admission = iota // Nothing; the volume is left as it is.
	Begin                      // Write the journal and fill it.
	GoOn                       // Everything on it is ours: take the journal over and fill it.
	Prove                      // Compare first; fill it only when all of it is listed and proven.
	Recognise                  // Compare first; take it only when it is all that is listed, proven, and nothing else.
	Confirm                    // As Recognise; an S3 that does not answer refuses nothing.
)

// Admit decides by what is there alone. First is the first attempt for this
// request on this volume, began that an earlier mover reported that it wrote: its journal was durable before, and
// goes only from a volume that is complete, which may have been handed over and be in use by now.
func (o Occupancy) Admit(first, began bool) Admission {
	switch {
	case o.Journal == Ours:
		return GoOn
	case o.Journal == Somebody, o.Journal == Anothers:
		return Refuse
	case len(o.Foreign) == 0:
		return Begin
	case began:
		return Confirm
	case first: // As far as the manager knows: it may have missed a mover that came and went.
		return Recognise
	}
	return Prove
}

// Refusal says what is in the way.
func (o Occupancy) Refusal() *fault.Failure {
	switch {
	case o.Journal == Anothers:
		return fault.New(
			wire.VolumeNotEmpty,
			"the volume carries the journal of another claim, whose UID is %s: a mover of that claim may be filling it, "+
				"so that nothing on it was changed. If that claim is gone, empty the volume; else use a storage class that "+
				"hands out each volume once",
			plan.Quote(o.Other),
		).Sharing()
	case len(o.Foreign) == 0:
		return NotEmpty("it carries the journal of another claim, or one that cannot be read")
	}
	return NotEmpty("it holds " + strings.Join(o.Foreign, ", "))
}

// NotEmpty is the failure of a volume that holds what no mover of this claim is known to have written.
func NotEmpty(what string) *fault.Failure {
	return fault.New(
		wire.VolumeNotEmpty,
		"the volume is not empty and nothing shows that what is on it may be removed: %s; nothing on it was changed. "+
			"Keep what is wanted elsewhere and empty the volume, or use a storage class that hands out empty volumes",
		what,
	)
}

// examples bounds the names in a message.
const examples = 3

// Look reads what is on the volume and changes nothing. Journal is whose journal it carries,
// and own are files of a journal, which an attempt may have left without one.
func (v *Volume) Look(journal Ownership, own []string) (Occupancy, error) {
	o := Occupancy{Journal: journal}
	err := eachEntry(v.Root, ".", func(e os.DirEntry) bool {
		switch name := e.Name(); {
		case name == wire.JournalDir && e.IsDir(), e.IsDir() && slices.Contains(plan.StorageOwn, name):
		default:
			o.Foreign = append(o.Foreign, plan.Quote(name))
		}
		return len(o.Foreign) < examples
	})
	if err != nil {
		return o, fault.NotWritable(err)
	}
	if o.Journal != Nobodys {
		return o, nil
	}
	err = v.lookBeside(&o, own)
	return o, err
}

// lookBeside reads what is in the directory of a journal that is not there. What an attempt
// leaves that ended before its journal was in place, or while it was removed, counts as
// nothing; anything else is somebody's.
func (v *Volume) lookBeside(o *Occupancy, own []string) error {
	err := eachEntry(v.Root, wire.JournalDir, func(e os.DirEntry) bool {
		name := wire.JournalDir + "/" + e.Name()
		// NFS renames what is open and removed. No attempt makes a directory there.
		left := (slices.Contains(own, name) || strings.HasPrefix(e.Name(), ".nfs")) && !e.IsDir()
		if !left {
			o.Journal, o.Foreign = Somebody, append(o.Foreign, plan.Quote(name))
		}
		return len(o.Foreign) < examples
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fault.NotWritable(err)
	}
	return nil
}

// eachEntry shows the entries of a directory until visit has seen enough.
func eachEntry(root *os.Root, dir string, visit func(os.DirEntry) bool) error {
	f, err := root.Open(dir)
	if err != nil {
		return fmt.Errorf("read directory %s: %w", plan.Quote(dir), err)
	}
	defer func() { _ = f.Close() }()
	for {
		entries, err := f.ReadDir(256) // Bounds the memory of a huge directory.
		for _, e := range entries {
			if !visit(e) {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read directory %s: %w", plan.Quote(dir), err)
		}
	}
}
