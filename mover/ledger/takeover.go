// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// JournalNext is the journal of a mover that is about to take the volume over.
const JournalNext = JournalName + ".next"

// journalMode lets a mover of another user with the same fsGroup read what this one left.
const journalMode = 0o660

// dirMode is that of the journal's directory, before the umask.
const dirMode = 0o777

// Journal appends to the file of that name, which begins with own.
type Journal struct {
	root *os.Root
	own  plan.Header
	file *os.File
	// named means that the file had a name, as its file system tells, when it was put in place.
	named bool
	// removing is set once this mover removes it: that it is gone says nothing from then on.
	removing atomic.Bool
}

// TakeOver makes the journal this mover's own before anything else is written: a new file
// with its header and the sound lines of an earlier mover for the same request, synced,
// renamed into place, its directories synced. A crash leaves the old journal or the new one.
func TakeOver(root *os.Root, own plan.Header) (*Journal, error) {
	j := &Journal{root: root, own: own}
	if err := j.take(); err != nil {
		j.Close()
		return nil, notTaken(root, own, err)
	}
	return j, nil
}

// notTaken says why. Another mover that takes the volume over at the same time uses the same names, and whose that is
// does not follow: it may be another claim's.
func notTaken(root *os.Root, own plan.Header, err error) error {
	h, headErr := ReadHeader(root)
	switch {
	case headErr == nil && h.Claim != own.Claim:
		return fault.Fenced("pod " + h.Pod + " of another claim").Sharing().Because(err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrExist):
		return fault.Fenced("it writes its own journal at this moment").Sharing().Because(err)
	}
	return fmt.Errorf("write the journal: %w", fault.NotWritable(err))
}

func (j *Journal) take() error {
	root := j.root
	if err := root.Mkdir(wire.JournalDir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err //nolint:wrapcheck // takeOver says what failed.
	}
	if err := root.RemoveAll(JournalNext); err != nil {
		return err //nolint:wrapcheck // As above.
	}
	file, err := root.OpenFile(JournalNext, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, journalMode)
	if j.file = file; err != nil {
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
	if err := root.Rename(JournalNext, JournalName); err != nil {
		return err //nolint:wrapcheck // As above.
	}
	if j.named, err = j.isNamed(); err != nil {
		return err
	}
	return errors.Join(syncDir(root, wire.JournalDir), syncDir(root, "."))
}

// isNamed tells that the file that is open is still found under a name.
func (j *Journal) isNamed() (bool, error) {
	info, err := j.file.Stat()
	if err != nil {
		return false, err //nolint:wrapcheck // Callers say what failed.
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink > 0, nil
}

// inherit copies what an earlier mover noted for the same request. Where there is no room
// for that, the journal begins anew: every file is then compared again.
func (j *Journal) inherit() error {
	h, err := ReadHeader(j.root)
	if err != nil || h.Claim != j.own.Claim || h.Request != j.own.Request {
		return nil // There is nothing to inherit.
	}
	old, err := j.root.OpenFile(JournalName, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err //nolint:wrapcheck // takeOver says what failed.
	}
	defer func() { _ = old.Close() }()
	to := bufio.NewWriterSize(j.file, 64<<10)
	err = readJournal(old, func(l Line) error {
		_, err := to.Write(l.Line())
		return err //nolint:wrapcheck // As above.
	})
	if err = errors.Join(err, to.Flush()); errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return j.beginAnew()
	}
	return err
}

// beginAnew leaves the header alone.
func (j *Journal) beginAnew() error {
	err := j.file.Truncate(int64(len(j.own.Line())))
	_, seekErr := j.file.Seek(0, io.SeekEnd)
	return errors.Join(err, seekErr)
}

// Forget makes durable that nothing is noted any more, before what was noted is removed.
func (j *Journal) Forget() error {
	if err := errors.Join(j.beginAnew(), j.file.Sync()); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// fsync is os.File.Sync; a test looks in its place.
var fsync = (*os.File).Sync

// syncDir makes the names in a directory durable.
func syncDir(root *os.Root, dir string) error {
	f, err := root.Open(dir)
	if err != nil {
		return err //nolint:wrapcheck // takeOver says what failed.
	}
	return errors.Join(fsync(f), f.Close())
}

// Replay shows what earlier movers noted.
func (j *Journal) Replay(visit func(Line)) error {
	if _, err := j.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	err := readJournal(j.file, func(l Line) error { visit(l); return nil })
	if _, seekErr := j.file.Seek(0, io.SeekEnd); err != nil || seekErr != nil {
		return fmt.Errorf("read the journal: %w", errors.Join(err, seekErr))
	}
	return nil
}

// journalDoubt marks a volume whose device has refused data. The kernel reports that once:
// read again, the pages in question come from memory and look sound. A node whose memory is
// empty reads them from the device, and whether it sees the mark does not matter.
const journalDoubt = wire.JournalDir + "/unsynced"

// Distrust sets the mark. It may fail with the device; that the volume is read-only then is returned, and explains what
// the device has refused. Whatever has its name is the mark, and is not opened: a FIFO would wait for a reader.
func (j *Journal) Distrust() error {
	f, err := j.root.OpenFile(journalDoubt, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, journalMode)
	if err == nil {
		_ = f.Close()
	}
	if errors.Is(err, unix.EROFS) {
		return err //nolint:wrapcheck // Callers add it to what they say.
	}
	return nil
}

// Distrusted reports whether an earlier mover set the mark. Where nobody can look for it, one may have.
func (j *Journal) Distrusted() bool {
	_, err := j.root.Lstat(journalDoubt)
	return !errors.Is(err, fs.ErrNotExist)
}

// Trust takes the mark away, once nothing that it speaks of is left.
func (j *Journal) Trust() error {
	if err := j.root.RemoveAll(journalDoubt); err != nil {
		return fmt.Errorf("write the journal: %w", fault.NotWritable(err))
	}
	return nil
}

// Owned fails when the journal is not this mover's any more: another mover has taken the
// volume over, or it was completed. It is asked before every checkpoint and every removal.
func (j *Journal) Owned() error {
	h, err := ReadHeader(j.root)
	gone := errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNoHeader)
	switch {
	case gone && j.removing.Load():
		return nil
	case gone:
		return fault.Fenced("the journal is gone").Sharing()
	case err != nil:
		return fmt.Errorf("read the journal: %w", err)
	case h.Claim != j.own.Claim:
		return fault.Fenced("pod " + h.Pod + " of another claim").Sharing()
	case h != j.own:
		return fault.Fenced("pod " + h.Pod)
	}
	return j.inPlace()
}

// inPlace fails when another file has taken the place of the one that is open. A client of NFS 4.1 opens what it knows
// under a name, which may be the file that it holds open, for as long as it remembers the directory: up to a minute.
// What it knows of that file is fresh then, and so is that it has no name any more. Whose the other file is does not
// follow: it may be another claim's.
func (j *Journal) inPlace() error {
	named, err := j.isNamed()
	switch {
	case errors.Is(err, fs.ErrClosed): // Nothing is written to it any more.
		return nil
	case err != nil:
		return fmt.Errorf("read the journal: %w", err)
	case j.named && !named:
		return fault.Fenced("the journal is another file").Sharing()
	}
	return nil
}

// Add appends lines, and makes all that was appended durable. The caller has synced their data.
func (j *Journal) Add(lines []Line) error {
	if err := j.append(lines); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// append is Add without a sync, for who has more lines than should be in memory at once. They are written as a whole:
// others write to the journal, too.
func (j *Journal) append(lines []Line) error {
	var b bytes.Buffer
	for _, l := range lines {
		b.Write(l.Line())
	}
	if _, err := j.file.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// Remove removes the journal of a volume that is complete, before the marks beside it, also as a power loss leaves it:
// without one of them, and with the journal, the volume would be taken for what it is not.
func (j *Journal) Remove() error {
	j.removing.Store(true)
	j.Close() // NFS keeps the name of a file that is open.
	err := j.root.Remove(JournalName)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = syncDir(j.root, wire.JournalDir)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = j.root.RemoveAll(wire.JournalDir)
	}
	if err != nil {
		return fmt.Errorf("remove journal: %w", err)
	}
	return nil
}

// Close gives the file back; what was appended is durable only after a sync.
func (j *Journal) Close() {
	if j.file != nil {
		_ = j.file.Close()
	}
}

// Files are all that a journal may leave.
var Files = []string{JournalName, JournalNext, journalRestoring, restoringNext, journalDoubt}

// RemoveRest removes what is left of a journal whose mover ended while it removed it: files that may
// stand beside it, and its directory once it is empty. Without a journal they say nothing.
func RemoveRest(root *os.Root) error {
	names := append(slices.Clone(Files[1:]), wire.JournalDir)
	for _, name := range names {
		err := root.Remove(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the rest of a journal: %w", err)
		}
	}
	return nil
}

// ErrNoHeader means that something of the journal's name is no journal.
var ErrNoHeader = errors.New("it has no header")

// ReadHeader opens the journal by its name, so that it sees what another mover
// has put in its place. A FIFO, a link or a directory is not waited for.
func ReadHeader(root *os.Root) (plan.Header, error) {
	if info, err := root.Lstat(wire.JournalDir); err != nil || !info.IsDir() {
		if err == nil {
			err = ErrNoHeader
		}
		return plan.Header{}, err //nolint:wrapcheck // Callers say what they were about to do.
	}
	if info, err := root.Lstat(JournalName); err != nil || !info.Mode().IsRegular() {
		if err == nil {
			err = ErrNoHeader
		}
		return plan.Header{}, err //nolint:wrapcheck // As above.
	}
	f, err := root.OpenFile(JournalName, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
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
		return plan.Header{}, ErrNoHeader
	}
	return h, nil
}
