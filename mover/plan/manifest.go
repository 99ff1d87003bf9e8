// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"
)

// manifestEscaper keeps one object on one line of three fields.
var manifestEscaper = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`)

// Digest is "sha256:" and the hexadecimal SHA-256 of the manifest: one line
//
//	path TAB size TAB etag LF
//
// for every object, sorted bytewise by path. The path is the one below the
// target directory, so neither prefix, bucket nor targetPath is part of it and
// equal content gives equal digests everywhere. In a path, a backslash, a tab
// and a newline are written \\, \t and \n. The etag is without its quotes. A
// directory marker's path ends in "/", its size is 0 and its etag is empty,
// because servers disagree on the entity tag of nothing.
func (p *Plan) Digest() string {
	d := NewDigester()
	for _, e := range p.Entries.All() {
		tag := ""
		if !e.IsDir() {
			tag = p.TagText(e.ETag)
		}
		d.Add(e.Path, e.Size, tag)
	}
	return d.Sum()
}

// Digester makes the digest of entries that come sorted, and holds none of them.
type Digester struct {
	hash hash.Hash
	text *bufio.Writer
	line []byte
}

// NewDigester begins with no entry.
func NewDigester() *Digester {
	h := sha256.New()
	return &Digester{hash: h, text: bufio.NewWriterSize(h, 64<<10)}
}

// Add takes the next entry. The entity tag may have its quotes.
func (d *Digester) Add(path string, size int64, tag string) {
	d.line = append(d.line[:0], manifestEscaper.Replace(path)...)
	d.line = append(d.line, '\t')
	d.line = strconv.AppendInt(d.line, size, 10)
	d.line = append(d.line, '\t')
	d.line = append(d.line, TrimETag(tag)...)
	d.line = append(d.line, '\n')
	_, _ = d.text.Write(d.line) // A hash never fails.
}

// Sum is the digest of all of them.
func (d *Digester) Sum() string {
	_ = d.text.Flush()
	return "sha256:" + hex.EncodeToString(d.hash.Sum(nil))
}
