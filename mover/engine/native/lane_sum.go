// SPDX-License-Identifier: Apache-2.0

package native

import (
	"crypto/md5" // #nosec G501 -- what S3 calls an entity tag.
	"encoding/binary"
)

// md5Lanes is how many MD5s are computed side by side.
const md5Lanes = 16

// laneSum is an MD5 that is computed beside others. Everything but the server's own work on it is guarded by the
// mutex of its server.
type laneSum struct {
	state  [4]uint32
	length uint64
	chunks []chunk // What is still to be summed.
	behind int     // Bytes of them.
	chunk  *chunk  // What is being summed.
	rest   []byte  // Of it.
	tail   [2 * md5.BlockSize]byte
	tailed int // Bytes of tail that do not make up a block yet.

	writing bool // Somebody writes to it.
	queued  bool // The server knows of it.
	ending  bool // Nothing more comes.
	padded  bool // The last blocks are in tail, or were summed already.
	ended   bool
	then    func(digest [md5.Size]byte) // Called at the end, on a goroutine of its own; nil: somebody waits.
}

func newLaneSum() *laneSum {
	return &laneSum{state: [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}}
}

// next is the next bytes to be summed, whole blocks of them, or nil where there are none yet. They are valid until
// it is called again. Buffers that are not needed any more are given to free.
func (l *laneSum) next(free func(chunk)) []byte {
	for {
		switch {
		case l.tailed == md5.BlockSize:
			l.tailed = 0
			return l.tail[:md5.BlockSize]
		case l.tailed == 0 && len(l.rest) >= md5.BlockSize:
			n := len(l.rest) &^ (md5.BlockSize - 1)
			blocks := l.rest[:n]
			l.rest = l.rest[n:]
			return blocks
		case len(l.rest) > 0:
			n := copy(l.tail[l.tailed:md5.BlockSize], l.rest)
			l.tailed += n
			l.rest = l.rest[n:]
		case l.chunk != nil:
			free(*l.chunk)
			l.chunk = nil
		case len(l.chunks) > 0:
			l.chunk, l.chunks = &l.chunks[0], l.chunks[1:]
			l.rest = l.chunk.bytes
			l.behind -= len(l.rest)
		case l.ending && !l.padded:
			return l.pad()
		default:
			return nil
		}
	}
}

// pad is what RFC 1321 has follow the bytes: a one, zeroes, and their number in bits.
func (l *laneSum) pad() []byte {
	const lengthSize = 8
	l.padded = true
	size := md5.BlockSize
	if l.tailed+1+lengthSize > size {
		size *= 2
	}
	clear(l.tail[l.tailed:])
	l.tail[l.tailed] = 0x80
	binary.LittleEndian.PutUint64(l.tail[size-lengthSize:], l.length<<3)
	l.tailed = 0
	return l.tail[:size]
}

func (l *laneSum) digest() (d [md5.Size]byte) {
	for i, word := range l.state {
		binary.LittleEndian.PutUint32(d[4*i:], word)
	}
	return d
}
