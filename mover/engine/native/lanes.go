// SPDX-License-Identifier: Apache-2.0

package native

import (
	"cmp"
	"crypto/md5" // #nosec G501 -- what S3 calls an entity tag.
	"hash"
	"sync"

	md5simd "github.com/minio/md5-simd"
)

// lanesFrom is how many connections there have to be for their MD5s to be computed side by side, in
// the lanes of vector registers.
const lanesFrom = 8

// sharedFrom in bytes is from where on an object is worth to be handed over for that: with the library, whose sums
// have to be there when its bytes are, and with lanes of ours.
const (
	sharedFrom   = 256 << 10
	sharedByOurs = 8 << 10
)

// perServer is how many hashes one server of the library computes. It has 48 buffers. A hash takes one for what was
// left of the bytes before and does not tell of it until it has one for those that follow: 48 of them could
// wait for each other for ever.
const perServer = 32

// lanes makes hashes that are computed side by side where the processor can do so.
type lanes struct {
	room    room // As much as is of use, if it is not set.
	mu      sync.Mutex
	ours    *laneServer
	servers []md5simd.Server // Where the processor has no AVX-512.
	// byLibrary does without lanes of ours; a test says so.
	byLibrary bool
	hashes    int // Made so far.
}

// besides makes hashes for one of so many connections; nil where one MD5 after the other is faster. What
// it returns is valid until close.
func (l *lanes) besides(connections int) func() hash.Hash {
	if connections < lanesFrom {
		return nil
	}
	return l.hash
}

// from is the size in bytes from where on that is worth it.
func (l *lanes) from() int64 {
	if l.areOurs() {
		return sharedByOurs
	}
	return sharedFrom
}

func (l *lanes) areOurs() bool { return hasMD5Lanes && !l.byLibrary }

func (l *lanes) hash() hash.Hash {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.areOurs() {
		if l.ours == nil {
			l.ours = newLaneServer(cmp.Or(l.room, roomIn(0)))
		}
		return &laneHash{server: l.ours, sum: newLaneSum()}
	}
	if l.hashes%perServer == 0 {
		l.servers = append(l.servers, md5simd.NewServer())
	}
	l.hashes++
	return &libraryHash{Hash: l.servers[len(l.servers)-1].NewHash()}
}

// close is called when nothing is written to a hash any more. What is to come later comes.
func (l *lanes) close() {
	if l.ours != nil {
		l.ours.close()
	}
	for _, s := range l.servers {
		s.Close()
	}
}

// libraryHash is one of the library. That forgets to tell its server of what is reset, and has room for three things
// that the server was not told of: a fourth one would wait for ever.
type libraryHash struct {
	hash.Hash

	written bool // Since it was reset.
	known   bool // The server has taken all that was written.
}

func (h *libraryHash) Write(p []byte) (int, error) {
	h.written, h.known = true, false
	n, _ := h.Hash.Write(p) // A hash never fails.
	return n, nil
}

func (h *libraryHash) Sum(b []byte) []byte {
	h.known = true
	return h.Hash.Sum(b)
}

// Reset is nothing where nothing was written.
func (h *libraryHash) Reset() {
	if !h.written {
		return
	}
	if !h.known {
		_ = h.Hash.Sum(nil)
	}
	h.Hash.Reset()
	h.written = false
}

// laneHash is a hash.Hash whose sum ends it until it is reset.
type laneHash struct {
	server *laneServer
	sum    *laneSum
}

func (h *laneHash) Write(p []byte) (int, error) {
	h.server.write(h.sum, p)
	return len(p), nil
}

// hand is Write of bytes whose buffer may be kept: swap is given another one for it. Nobody reads them afterwards.
func (h *laneHash) hand(p []byte, swap func(spare []byte) []byte) { h.server.hand(h.sum, p, swap) }

func (h *laneHash) Sum(b []byte) []byte {
	h.server.end(h.sum)
	d := h.sum.digest()
	return append(b, d[:]...)
}

// later is Sum for who does not wait.
func (h *laneHash) later(then func([md5.Size]byte)) { h.server.endLater(h.sum, then) }

// Reset begins another sum. What was written to the one before may still be on its way.
func (h *laneHash) Reset() {
	h.server.giveUp(h.sum)
	h.sum = newLaneSum()
}

// Size implements hash.Hash.
func (*laneHash) Size() int { return md5.Size }

// BlockSize implements hash.Hash.
func (*laneHash) BlockSize() int { return md5.BlockSize }
