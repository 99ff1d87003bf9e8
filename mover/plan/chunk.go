// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"strings"
)

// chunk is some entries and the text of their paths. Nothing of it changes but for what is added.
type chunk struct {
	records []record
	text    string
	more    strings.Builder // Where the text grows.
}

// record is an entry in 40 bytes.
type record struct {
	size             int64
	sum              [16]byte // Of an opaque tag the index of its text.
	parts            int32
	head, tail       uint32 // Where they begin in the text.
	headLen, tailLen uint16
}

const (
	// chunkSize is how many entries a chunk has: the text of all of them has less than 2^32 bytes.
	chunkSize = 1 << 12
	// headWorth in bytes is how much longer than the head before it a head has to be to be kept, too.
	headWorth = 8
)

func (c *chunk) add(e Entry) {
	r := record{size: e.Size, sum: e.ETag.Sum, parts: e.ETag.Parts}
	if r.parts == OpaqueETag {
		binary.LittleEndian.PutUint32(r.sum[:], uint32(e.ETag.text)) // #nosec G115 -- it is read back as it was.
	}
	r.head, r.headLen = c.head(e.Path)
	r.tail, r.tailLen = c.keep(e.Path[r.headLen:])
	c.records = append(c.records, r)
	if len(c.records) == chunkSize { // Nothing more comes: the room for more is given back.
		c.text = strings.Clone(c.text)
		c.more.Reset()
	}
}

// head is that of the entry before, unless a path has less in common with that one, or much more.
func (c *chunk) head(path string) (at uint32, length uint16) {
	if len(c.records) == 0 {
		return 0, 0
	}
	r := &c.records[len(c.records)-1]
	head, tail := c.parts(r)
	n := common(head, path)
	if n == len(head) {
		n += common(tail, path[n:])
		if n <= len(head)+headWorth {
			return r.head, r.headLen
		}
	}
	return c.keep(path[:n])
}

// common is how many bytes two texts begin with that are the same.
func common(a, b string) int {
	if strings.HasPrefix(b, a) { // As is mostly the case.
		return len(a)
	}
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// keep adds to the text.
func (c *chunk) keep(s string) (at uint32, length uint16) {
	at = uint32(c.more.Len()) // #nosec G115 -- see chunkSize.
	c.more.WriteString(s)
	c.text = c.more.String()
	return at, uint16(len(s)) // #nosec G115 -- at most maxPath.
}

// parts of the path of an entry.
func (c *chunk) parts(r *record) (head, tail string) {
	return c.text[r.head:][:r.headLen], c.text[r.tail:][:r.tailLen]
}

// path of an entry. Where head and tail stand beside each other it is there already.
func (c *chunk) path(r *record) string {
	if r.head+uint32(r.headLen) == r.tail {
		return c.text[r.head:][:int(r.headLen)+int(r.tailLen)]
	}
	head, tail := c.parts(r)
	return head + tail
}
