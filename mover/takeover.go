// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// journalNext is the journal of a mover that is about to take the volume over.
const journalNext = journalName + ".next"

// journalMode lets a mover of another user with the same fsGroup read what this one left.
const journalMode = 0o660

// journal appends to the file of that name, which begins with own.
type journal struct {
	volume *volume.Volume
	own    plan.Header
	file   *os.File
}

// takeOver makes the journal this mover's own before anything else is written: a new file
// with its header and the sound lines of an earlier mover for the same request, synced,
// renamed into place, its directories synced. A crash leaves the old journal or the new one.
func takeOver(v *volume.Volume, own plan.Header) (*journal, error) {
	j := &journal{volume: v, own: own}
	if err := j.take(); err != nil {
		j.close()
		return nil, fmt.Errorf("write the journal: %w", fault.NotWritable(err))
	}
	return j, nil
}

func (j *journal) take() error {
	root := j.volume.Root
	if err := root.Mkdir(wire.JournalDir, volume.DirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err //nolint:wrapcheck // takeOver says what failed.
	}
	if err := root.RemoveAll(journalNext); err != nil {
		return err //nolint:wrapcheck // As above.
	}
	var err error
	if j.file, err = root.OpenFile(journalNext, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, journalMode); err != nil {
		return err //nolint:wrapcheck // As above.
	}
	if _, err := j.file.WriteString(j.own.Line()); err != nil {
		return err //nolint:wrapcheck // As above.
	}
	if err := j.inherit(); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err //nolint:wrapcheck // As above.
	}
	if err := root.Rename(journalNext, journalName); err != nil {
		return err //nolint:wrapcheck // As above.
	}
	return errors.Join(syncDir(root, wire.JournalDir), syncDir(root, "."))
}

// inherit copies what an earlier mover noted for the same request. Where there is no room
// for that, the journal begins anew: every file is then compared again.
func (j *journal) inherit() error {
	h, err := readHeader(j.volume)
	if err != nil || h.Claim != j.own.Claim || h.Request != j.own.Request {
		return nil // There is nothing to inherit.
	}
	old, err := j.volume.Root.OpenFile(journalName, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err //nolint:wrapcheck // takeOver says what failed.
	}
	defer func() { _ = old.Close() }()
	to := bufio.NewWriterSize(j.file, 64<<10)
	err = readJournal(old, func(l journalled) error {
		_, err := to.Write(l.line())
		return err //nolint:wrapcheck // As above.
	})
	if err = errors.Join(err, to.Flush()); errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		err = j.file.Truncate(int64(len(j.own.Line())))
		_, seekErr := j.file.Seek(0, io.SeekEnd)
		return errors.Join(err, seekErr)
	}
	return err
}

// syncDir makes the names in a directory durable.
func syncDir(root *os.Root, dir string) error {
	f, err := root.Open(dir)
	if err != nil {
		return err //nolint:wrapcheck // takeOver says what failed.
	}
	return errors.Join(f.Sync(), f.Close())
}

// replay shows what earlier movers noted.
func (j *journal) replay(visit func(journalled)) error {
	if _, err := j.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	err := readJournal(j.file, func(l journalled) error { visit(l); return nil })
	if _, seekErr := j.file.Seek(0, io.SeekEnd); err != nil || seekErr != nil {
		return fmt.Errorf("read the journal: %w", errors.Join(err, seekErr))
	}
	return nil
}

// journalDoubt marks a volume whose device has refused data. The kernel reports that once:
// read again, the pages in question come from memory and look sound. A node whose memory is
// empty reads them from the device, and whether it sees the mark does not matter.
const journalDoubt = wire.JournalDir + "/unsynced"

// distrust sets the mark. It may fail with the device; the volume is read-only then.
func (j *journal) distrust() {
	if f, err := j.volume.Root.OpenFile(journalDoubt, unix.O_WRONLY|unix.O_CREAT|unix.O_NOFOLLOW, journalMode); err == nil {
		_ = f.Close()
	}
}

// distrusted reports whether an earlier mover set the mark.
func (j *journal) distrusted() bool {
	_, err := j.volume.Root.Lstat(journalDoubt)
	return err == nil
}

// trust takes the mark away, once nothing that it speaks of is left.
func (j *journal) trust() error {
	if err := j.volume.Root.Remove(journalDoubt); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write the journal: %w", fault.NotWritable(err))
	}
	return nil
}

// owned fails when the journal is not this mover's any more: another mover has taken the
// volume over, or it was completed. It is asked before every checkpoint and every removal.
func (j *journal) owned() error {
	h, err := readHeader(j.volume)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNoHeader):
		return fault.Fenced("the journal is gone")
	case err != nil:
		return fmt.Errorf("read the journal: %w", err)
	case h != j.own:
		return fault.Fenced("pod " + h.Pod)
	}
	return nil
}

// add appends lines and makes them durable. The caller has synced their data.
func (j *journal) add(lines []journalled) error {
	var b bytes.Buffer
	for _, l := range lines {
		b.Write(l.line())
	}
	if _, err := j.file.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

func (j *journal) close() {
	if j.file != nil {
		_ = j.file.Close()
	}
}

// journalFiles are all that a journal may leave.
var journalFiles = []string{journalName, journalNext, journalDoubt}

// whose reads the header of the journal.
func whose(v *volume.Volume, claim string) (volume.Ownership, error) {
	h, err := readHeader(v)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return volume.Nobodys, nil
	case errors.Is(err, errNoHeader):
		return volume.Somebody, nil
	case err != nil:
		return volume.Nobodys, fmt.Errorf("read the journal: %w", err)
	case h.Claim != claim:
		return volume.Somebody, nil
	}
	return volume.Ours, nil
}

// errNoHeader means that something of the journal's name is no journal.
var errNoHeader = errors.New("it has no header")

// readHeader opens the journal by its name, so that it sees what another mover
// has put in its place. A FIFO, a link or a directory is not waited for.
func readHeader(v *volume.Volume) (plan.Header, error) {
	if info, err := v.Root.Lstat(wire.JournalDir); err != nil || !info.IsDir() {
		if err == nil {
			err = errNoHeader
		}
		return plan.Header{}, err //nolint:wrapcheck // Callers say what they were about to do.
	}
	if info, err := v.Root.Lstat(journalName); err != nil || !info.Mode().IsRegular() {
		if err == nil {
			err = errNoHeader
		}
		return plan.Header{}, err //nolint:wrapcheck // As above.
	}
	f, err := v.Root.OpenFile(journalName, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
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
