// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"iter"
	"strings"
)

// Entries are the entries of a plan in little memory: of a million, each byte is a megabyte. A path is kept as a head,
// which it shares with the entries before it, and a tail. A key is mostly the base and the path, and is kept only
// where it is not.
type Entries struct {
	base   string
	chunks []*chunk
	count  int
	keys   map[int]string // Of entries whose key is another one.
}

// EntriesOf keeps entries in their order. Their keys mostly are the base and their path.
func EntriesOf(base string, list iter.Seq[Entry]) Entries {
	made := Entries{base: base}
	for e := range list {
		made.add(e)
	}
	return made
}

// add keeps an entry. Its path has at most maxPath bytes.
func (l *Entries) add(e Entry) {
	if l.count%chunkSize == 0 {
		c := new(chunk)
		if l.count > 0 { // Many more may follow.
			c.records = make([]record, 0, chunkSize)
		}
		l.chunks = append(l.chunks, c)
	}
	if path, ok := strings.CutPrefix(e.Key, l.base); !ok || path != e.Path {
		if l.keys == nil {
			l.keys = make(map[int]string)
		}
		l.keys[l.count] = strings.Clone(e.Key)
	}
	l.chunks[len(l.chunks)-1].add(e)
	l.count++
}

func (l *Entries) record(i int) (*chunk, *record) {
	c := l.chunks[i/chunkSize]
	return c, &c.records[i%chunkSize]
}

// Len is how many there are.
func (l *Entries) Len() int { return l.count }

// At is one of them.
func (l *Entries) At(i int) Entry {
	c, r := l.record(i)
	e := Entry{Size: r.size, ETag: ETag{Sum: r.sum, Parts: r.parts}}
	if r.parts == OpaqueETag {
		text := binary.LittleEndian.Uint32(r.sum[:])
		e.ETag = ETag{Parts: OpaqueETag, text: int32(text)} // #nosec G115 -- it was one.
	}
	if key, ok := l.keys[i]; ok {
		e.Key, e.Path = key, c.path(r)
		return e
	}
	if l.base == "" {
		e.Key = c.path(r)
	} else {
		head, tail := c.parts(r)
		e.Key = l.base + head + tail
	}
	e.Path = e.Key[len(l.base):] // Shares the key's memory.
	return e
}

// All are all of them, in their order.
func (l *Entries) All() iter.Seq2[int, Entry] {
	return func(yield func(int, Entry) bool) {
		for i := range l.count {
			if !yield(i, l.At(i)) {
				return
			}
		}
	}
}

// Size of an entry in bytes.
func (l *Entries) Size(i int) int64 {
	_, r := l.record(i)
	return r.size
}

// IsDir tells that an entry is a directory.
func (l *Entries) IsDir(i int) bool {
	head, tail := l.parts(i)
	if tail == "" {
		return strings.HasSuffix(head, "/")
	}
	return strings.HasSuffix(tail, "/")
}

// directory of an entry with its slash, or nothing at the root. That of a directory is itself.
func (l *Entries) directory(i int) string {
	head, tail := l.parts(i)
	if at := strings.LastIndexByte(tail, '/'); at >= 0 {
		return head + tail[:at+1]
	}
	return head[:strings.LastIndexByte(head, '/')+1]
}
