// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/wire"
)

// journalName is the file below wire.JournalDir that says which files are
// verified and durable. Its first line names the source; every other line is
//
//	crc32 TAB size TAB mtime TAB method TAB "etag" TAB "path" LF
//
// A line of the method "nothing" speaks of a large file that is on its way: its
// size is how much of the beginning was there.
//
// A line is only written after the data it speaks of was synced, so whatever
// it says survives a crash; a torn or damaged line is one file more to verify.
const journalName = wire.JournalDir + "/journal"

// journalled is one line: the file as it was when it was durable. The time of
// modification makes a file that was touched since then a file like any other.
type journalled struct {
	path  string
	size  int64
	mtime int64 // Nanoseconds since 1970. Not ctime: the kubelet's chown changes that.
	by    method
	etag  string
}

func (j journalled) line() []byte {
	b := strconv.AppendInt(nil, j.size, 10)
	b = strconv.AppendInt(append(b, '\t'), j.mtime, 10)
	b = strconv.AppendInt(append(b, '\t'), int64(j.by), 10)
	b = append(append(b, '\t'), strconv.Quote(j.etag)...)
	b = append(append(b, '\t'), strconv.Quote(j.path)...)
	return fmt.Appendf(nil, "%08x\t%s\n", crc32.ChecksumIEEE(b), b)
}

// parseJournalled reads a line without its newline.
func parseJournalled(line []byte) (journalled, bool) {
	sum, rest, ok := bytes.Cut(line, []byte{'\t'})
	fields := bytes.Split(rest, []byte{'\t'})
	if !ok || len(fields) != 5 || string(sum) != fmt.Sprintf("%08x", crc32.ChecksumIEEE(rest)) {
		return journalled{}, false
	}
	var j journalled
	var errs [5]error
	j.size, errs[0] = strconv.ParseInt(string(fields[0]), 10, 64)
	j.mtime, errs[1] = strconv.ParseInt(string(fields[1]), 10, 64)
	by, err := strconv.ParseUint(string(fields[2]), 10, 8)
	j.by, errs[2] = method(by), err
	j.etag, errs[3] = strconv.Unquote(string(fields[3]))
	j.path, errs[4] = strconv.Unquote(string(fields[4]))
	return j, errs == [5]error{} && by < uint64(byExistence)
}

// sourceIdentity changes with everything that decides which bytes belong under
// which path: a journal of another source, or of a laxer policy, is worthless.
func sourceIdentity(r wire.Request) string {
	text, err := json.Marshal([]any{
		r.Source.Endpoint, r.Source.Region, r.Source.Bucket, listPrefix(r.Source), r.Source.Objects,
		r.Volume.TargetPath, r.Transfer.Verify,
	})
	if err != nil { // Strings always marshal.
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// journal appends to the file of that name.
type journal struct{ file *os.File }

// openJournal reads what an earlier attempt left and calls visit for every
// sound line. The file is cut after the last of them and opened for more.
func openJournal(v *volume, identity string, visit func(journalled)) (*journal, error) {
	f, err := v.root.OpenFile(journalName, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		// A leftover of the wrong kind; nothing in it can be trusted.
		if err := v.root.RemoveAll(journalName); err != nil {
			return nil, fmt.Errorf("open journal: %w", notWritable(err))
		}
		if f, err = v.root.OpenFile(journalName, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o600); err != nil {
			return nil, fmt.Errorf("open journal: %w", notWritable(err))
		}
	}
	header := "s3populator journal 1 " + identity + "\n"
	end, err := readJournal(f, header, visit)
	if err == nil && end == 0 {
		if err = f.Truncate(0); err == nil {
			_, err = f.WriteAt([]byte(header), 0)
		}
		end = int64(len(header))
	}
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return &journal{file: f}, nil
}

// readJournal returns the offset after the last whole line, or 0 when the
// journal is not of this source.
func readJournal(f io.Reader, header string, visit func(journalled)) (int64, error) {
	r := bufio.NewReaderSize(f, 64<<10)
	end := int64(0)
	for {
		line, err := r.ReadBytes('\n')
		if err == io.EOF { // A torn line ends the journal.
			return end, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read journal: %w", err)
		}
		if end == 0 && string(line) != header {
			return 0, nil
		}
		if j, ok := parseJournalled(line[:len(line)-1]); ok && end > 0 {
			visit(j)
		}
		end += int64(len(line))
	}
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

func (j *journal) close() { _ = j.file.Close() }
