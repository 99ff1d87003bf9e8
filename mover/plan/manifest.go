// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
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
	h := sha256.New()
	w := bufio.NewWriterSize(h, 64<<10)
	line := make([]byte, 0, 512)
	for _, e := range p.Entries {
		line = append(line[:0], manifestEscaper.Replace(e.Path)...)
		line = append(line, '\t')
		line = strconv.AppendInt(line, e.Size, 10)
		line = append(line, '\t')
		if !e.IsDir() {
			line = append(line, p.TagText(e.ETag)...)
		}
		line = append(line, '\n')
		_, _ = w.Write(line) // A hash never fails.
	}
	_ = w.Flush()
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
