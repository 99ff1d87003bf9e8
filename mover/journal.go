// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"

	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// journalName is the file below wire.JournalDir that says which files are
// verified and durable. Its first line is a header; every other line is
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
	by    plan.Method
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
	j.by, errs[2] = plan.Method(by), err
	j.etag, errs[3] = strconv.Unquote(string(fields[3]))
	j.path, errs[4] = strconv.Unquote(string(fields[4]))
	return j, errs == [5]error{} && by < plan.Methods
}

// maxLine bounds a line: a path of maxPath bytes, each escaped to four, and an entity tag.
const maxLine = 64 << 10

// readJournal shows every sound line after the header. A torn, damaged or overlong one is
// left out.
func readJournal(f io.Reader, visit func(journalled) error) error {
	r := bufio.NewReaderSize(f, maxLine)
	for first, overlong := true, false; ; first = false {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			overlong = true
			continue
		}
		if errors.Is(err, io.EOF) { // A torn line ends the journal.
			return nil
		}
		if err != nil {
			return err //nolint:wrapcheck // Callers say what failed.
		}
		if l, ok := parseJournalled(line[:len(line)-1]); ok && !first && !overlong {
			if err := visit(l); err != nil {
				return err
			}
		}
		overlong = false
	}
}
