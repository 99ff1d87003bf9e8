// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// journalRestoring marks a volume on which a mover has begun to give files and directories what a manifest says of
// them, and says which restore that is. What it gave, no other request would take away again.
const journalRestoring = wire.JournalDir + "/restoring"

// restoringNext is the mark of a mover that is about to set it.
const restoringNext = journalRestoring + ".next"

// maxRestore bounds what is read of the mark.
const maxRestore = 256

// Restoring tells which restore has begun on the volume, in the words of Restores, and whether any has. A mark that
// cannot be read is that of another one.
func (j *Journal) Restoring() (which string, begun bool) {
	info, err := j.root.Lstat(journalRestoring)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false
	}
	if err != nil || !info.Mode().IsRegular() {
		return "", true
	}
	f, err := j.root.OpenFile(journalRestoring, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", true
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxRestore))
	if err != nil {
		return "", true
	}
	return string(text), true
}

// Restores sets the mark, durably, before anything is restored. It is there as a whole or not at all: a half of it, as
// after a power loss or on a full volume, would be that of another restore, and all would be fetched again. One that is
// there is that of the same restore; it may not be durable yet.
func (j *Journal) Restores(which string) error {
	if err := j.mark(which); err != nil {
		return fmt.Errorf("write the journal: %w", fault.NotWritable(err))
	}
	return nil
}

func (j *Journal) mark(which string) error {
	if err := j.root.RemoveAll(restoringNext); err != nil {
		return err //nolint:wrapcheck // Restores says what failed.
	}
	f, err := j.root.OpenFile(restoringNext, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, journalMode)
	if err != nil {
		return err //nolint:wrapcheck // As above.
	}
	_, written := f.WriteString(which)
	if err := errors.Join(written, fsync(f), f.Close()); err != nil {
		return err
	}
	if err := j.root.Rename(restoringNext, journalRestoring); err != nil {
		return err //nolint:wrapcheck // As above.
	}
	return syncDir(j.root, wire.JournalDir)
}

// Unrestored takes the mark away, once nothing is left that was restored.
func (j *Journal) Unrestored() error {
	if err := j.root.RemoveAll(journalRestoring); err != nil {
		return fmt.Errorf("write the journal: %w", fault.NotWritable(err))
	}
	return nil
}
