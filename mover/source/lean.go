// SPDX-License-Identifier: Apache-2.0

package source

import "bytes"

// unread are the elements of a listing that nobody asks for and that hold nothing but text. To parse
// them would take as long as to parse the others.
var unread = [][2][]byte{
	{[]byte("<LastModified>"), []byte("</LastModified>")},
	{[]byte("<StorageClass>"), []byte("</StorageClass>")},
	{[]byte("<ChecksumAlgorithm>"), []byte("</ChecksumAlgorithm>")},
	{[]byte("<ChecksumType>"), []byte("</ChecksumType>")},
	{[]byte("<DisplayName>"), []byte("</DisplayName>")},
	{[]byte("<ID>"), []byte("</ID>")},
}

// lean leaves out of a page what nobody reads. Where anything is written in another way than S3 does,
// all of it stays: it must not hide an object, or that a page is none.
func lean(page []byte) []byte {
	if bytes.Contains(page, []byte("<!")) { // Where a tag could be text.
		return page
	}
	out := make([]byte, 0, len(page))
	for {
		at := bytes.IndexByte(page, '<')
		if at < 0 {
			return append(out, page...)
		}
		out, page = append(out, page[:at]...), page[at:]
		n := unreadAt(page)
		if n == 0 { // A tag that stays.
			out, page = append(out, '<'), page[1:]
		} else {
			page = page[n:]
		}
	}
}

// unreadAt is how many bytes an element takes that begins a text and that nobody reads; 0 for any other.
func unreadAt(text []byte) int {
	for _, tags := range unread {
		if !bytes.HasPrefix(text, tags[0]) {
			continue
		}
		inside := text[len(tags[0]):]
		end := bytes.IndexByte(inside, '<')
		if end < 0 || !bytes.HasPrefix(inside[end:], tags[1]) {
			return 0
		}
		return len(tags[0]) + end + len(tags[1])
	}
	return 0
}
