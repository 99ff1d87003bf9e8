// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// ownership is whose journal a volume carries.
type ownership int

const (
	nobodys  ownership = iota // There is none.
	ours                      // Of this claim: whatever is on the volume is ours.
	somebody                  // Of another claim, or not a journal at all.
)

// occupancy is what is on a volume before a mover touches it.
type occupancy struct {
	journal ownership
	foreign []string // Up to three names of what is not ours and not the file system's own.
}

// admission is what a mover may do with a volume.
type admission int

const (
	refuse    admission = iota // Nothing; the volume is left as it is.
	begin                      // Write the journal and fill it.
	goOn                       // Everything on it is ours: take the journal over and fill it.
	prove                      // Compare first; fill it only when all of it is listed and proven.
	recognise                  // Compare first; take it only when it is all that is listed, proven, and nothing else.
)

// admit decides by what is there alone. First is the first attempt for this
// request on this volume, began that an earlier mover reported that it wrote.
func (o occupancy) admit(first, began bool) admission {
	switch {
	case o.journal == ours:
		return goOn
	case o.journal == somebody:
		return refuse
	case len(o.foreign) == 0:
		return begin
	case began:
		return begin
	case first: // As far as the manager knows: it may have missed a mover that came and went.
		return recognise
	}
	return prove
}

// refusal says what is in the way.
func (o occupancy) refusal() *fault.Failure {
	if len(o.foreign) == 0 {
		return notEmpty("it carries the journal of another claim")
	}
	return notEmpty("it holds " + strings.Join(o.foreign, ", "))
}

func notEmpty(what string) *fault.Failure {
	return fault.New(
		wire.VolumeNotEmpty,
		"the volume is not empty and no mover of this claim wrote to it: %s; nothing on it was changed. "+
			"Keep what is wanted elsewhere and empty the volume, or use a storage class that hands out empty volumes",
		what,
	)
}

// examples bounds the names in a message.
const examples = 3

// look reads what is on the volume and changes nothing.
func (v *volume) look(claim string) (occupancy, error) {
	var o occupancy
	err := eachEntry(v.root, ".", func(e os.DirEntry) bool {
		switch name := e.Name(); {
		case name == wire.JournalDir && e.IsDir(), e.IsDir() && slices.Contains(plan.StorageOwn, name):
		default:
			o.foreign = append(o.foreign, plan.Quote(name))
		}
		return len(o.foreign) < examples
	})
	if err != nil {
		return o, fault.NotWritable(err)
	}
	if o.journal, err = v.whose(claim); err != nil {
		return o, err
	}
	if o.journal != nobodys {
		return o, nil
	}
	err = v.lookBeside(&o)
	return o, err
}

// lookBeside reads what is in the directory of a journal that is not there. What an attempt
// leaves that ended before its journal was in place, or while it was removed, counts as
// nothing; anything else is somebody's.
func (v *volume) lookBeside(o *occupancy) error {
	own := []string{journalName, journalNext, journalDoubt}
	err := eachEntry(v.root, wire.JournalDir, func(e os.DirEntry) bool {
		name := wire.JournalDir + "/" + e.Name()
		if !slices.Contains(own, name) && !strings.HasPrefix(e.Name(), ".nfs") { // NFS renames what is open and removed.
			o.journal, o.foreign = somebody, append(o.foreign, plan.Quote(name))
		}
		return len(o.foreign) < examples
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fault.NotWritable(err)
	}
	return nil
}

// whose reads the header of the journal.
func (v *volume) whose(claim string) (ownership, error) {
	h, err := v.readHeader()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nobodys, nil
	case errors.Is(err, errNoHeader):
		return somebody, nil
	case err != nil:
		return nobodys, fmt.Errorf("read the journal: %w", err)
	case h.Claim != claim:
		return somebody, nil
	}
	return ours, nil
}

// errNoHeader means that something of the journal's name is no journal.
var errNoHeader = errors.New("it has no header")

// readHeader opens the journal by its name, so that it sees what another mover
// has put in its place. A FIFO, a link or a directory is not waited for.
func (v *volume) readHeader() (plan.Header, error) {
	if info, err := v.root.Lstat(wire.JournalDir); err != nil || !info.IsDir() {
		if err == nil {
			err = errNoHeader
		}
		return plan.Header{}, err //nolint:wrapcheck // Callers say what they were about to do.
	}
	if info, err := v.root.Lstat(journalName); err != nil || !info.Mode().IsRegular() {
		if err == nil {
			err = errNoHeader
		}
		return plan.Header{}, err //nolint:wrapcheck // As above.
	}
	f, err := v.root.OpenFile(journalName, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return plan.Header{}, err //nolint:wrapcheck // As above.
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, plan.HeaderSize))
	if err != nil {
		return plan.Header{}, err //nolint:wrapcheck // As above.
	}
	h, ok := plan.ParseHeader(text)
	if !ok {
		return plan.Header{}, errNoHeader
	}
	return h, nil
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
