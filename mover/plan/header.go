// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/s3populator/s3populator/mover/wire"
)

// Header is the first line of a journal, and what the first sector of a device
// carries while it is filled: for which claim, by which pod, and what was asked.
//
//	s3populator journal 2 claim UID pod UID request SHA256 crc32 LF
//
// A UID has at most 64 bytes, so the line fits into one sector.
type Header struct {
	Claim, Pod string
	Request    string // A digest of what decides which bytes belong under which path.
}

const (
	headerStart = "s3populator journal "
	// HeaderSize in bytes: disks write a sector of that size as one.
	HeaderSize = 512
)

// SourceIdentity changes with everything that decides which bytes belong under
// which path: a journal of another source, or of a laxer policy, is worthless.
func SourceIdentity(r wire.Request) string {
	text, err := json.Marshal([]any{
		r.Source.Endpoint, r.Source.Region, r.Source.Bucket, ListPrefix(r.Source), r.Source.Objects,
		r.Volume.TargetPath, r.Transfer.Verify,
	})
	if err != nil { // Strings always marshal.
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Line is the header with its checksum, as the first line of a journal.
func (h Header) Line() string {
	text := fmt.Sprintf("%s2 claim %s pod %s request %s", headerStart, h.Claim, h.Pod, h.Request)
	return fmt.Sprintf("%s %08x\n", text, crc32.ChecksumIEEE([]byte(text)))
}

// Sector is the line as the first sector of a device.
func (h Header) Sector() []byte {
	sector := make([]byte, HeaderSize)
	copy(sector, h.Line())
	return sector
}

// ParseHeader reads the line at the start of text, whatever follows it.
func ParseHeader(text []byte) (Header, bool) {
	line, _, whole := strings.Cut(string(text[:min(len(text), HeaderSize)]), "\n")
	fields := strings.Split(strings.TrimPrefix(line, headerStart+"2 "), " ")
	if !whole || len(fields) != 7 || fields[0] != "claim" || fields[2] != "pod" || fields[4] != "request" {
		return Header{}, false
	}
	h := Header{Claim: fields[1], Pod: fields[3], Request: fields[5]}
	return h, h.Line() == line+"\n"
}
