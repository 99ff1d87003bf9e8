// SPDX-License-Identifier: Apache-2.0

package ledger

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

// JournalName is the file below wire.JournalDir that says which files are
// verified and durable. Its first line is a header; every other line is
//
//	crc32 TAB size TAB mtime TAB method TAB "etag" TAB "path" LF
//
// A line of the method "nothing" speaks of a range of a large file that is on its way: its
// size is that of the range, and in the place of the time is its offset. All ranges of a file
// are noted together, in their order. A further field
//
//	TAB crc64nvme
//
// behind the path means that the range was written and not synced: it is there if its bytes
// have that sum.
//
// Any other line is only written after the data it speaks of was synced, so whatever
// it says survives a crash; a torn or damaged line is one file more to verify.
const JournalName = wire.JournalDir + "/journal"

// Line is one line: the file as it was when it was durable. The time of
// modification makes a file that was touched since then a file like any other.
type Line struct {
	Path    string
	Size    int64
	ModTime int64 // Nanoseconds since 1970. Not ctime: the kubelet's chown changes that.
	By      plan.Method
	ETag    string
	// Offset of the range, for the method "nothing".
	Offset int64
	// Sum is the CRC64NVME of a range that was not synced.
	Sum    uint64
	Summed bool
}

// Line is the record as the journal holds it, without the checksum that protects it.
func (j Line) Line() []byte {
	b := strconv.AppendInt(nil, j.Size, 10)
	second := j.ModTime
	if j.By == plan.Unverified {
		second = j.Offset
	}
	b = strconv.AppendInt(append(b, '\t'), second, 10)
	b = strconv.AppendInt(append(b, '\t'), int64(j.By), 10)
	b = append(append(b, '\t'), strconv.Quote(j.ETag)...)
	b = append(append(b, '\t'), strconv.Quote(j.Path)...)
	if j.Summed {
		b = fmt.Appendf(b, "\t%016x", j.Sum)
	}
	return fmt.Appendf(nil, "%08x\t%s\n", crc32.ChecksumIEEE(b), b)
}

// ParseJournalled reads a line without its newline.
func ParseJournalled(line []byte) (Line, bool) {
	sum, rest, ok := bytes.Cut(line, []byte{'\t'})
	fields := bytes.Split(rest, []byte{'\t'})
	if !ok || len(fields) < 5 || len(fields) > 6 || string(sum) != fmt.Sprintf("%08x", crc32.ChecksumIEEE(rest)) {
		return Line{}, false
	}
	var j Line
	var errs [5]error
	j.Size, errs[0] = strconv.ParseInt(string(fields[0]), 10, 64)
	j.ModTime, errs[1] = strconv.ParseInt(string(fields[1]), 10, 64)
	by, err := strconv.ParseUint(string(fields[2]), 10, 8)
	j.By, errs[2] = plan.Method(by), err
	j.ETag, errs[3] = strconv.Unquote(string(fields[3]))
	j.Path, errs[4] = strconv.Unquote(string(fields[4]))
	if j.By == plan.Unverified {
		j.Offset, j.ModTime = j.ModTime, 0
	}
	if len(fields) == 6 {
		j.Sum, err = strconv.ParseUint(string(fields[5]), 16, 64)
		j.Summed = true
	}
	return j, errs == [5]error{} && err == nil && by < plan.Methods && (!j.Summed || j.By == plan.Unverified)
}

// maxLine bounds a line: a path of maxPath bytes, each escaped to four, and an entity tag.
const maxLine = 64 << 10

// readJournal shows every sound line after the header. A torn, damaged or overlong one is
// left out.
func readJournal(f io.Reader, visit func(Line) error) error {
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
		if l, ok := ParseJournalled(line[:len(line)-1]); ok && !first && !overlong {
			if err := visit(l); err != nil {
				return err
			}
		}
		overlong = false
	}
}
