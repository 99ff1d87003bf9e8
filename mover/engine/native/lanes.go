// SPDX-License-Identifier: Apache-2.0

package native

import (
	"hash"
	"sync"

	md5simd "github.com/minio/md5-simd"
)

// lanesFrom is how many connections there have to be for their MD5s to be computed side by side, in
// the lanes of vector registers. Measured with AVX-512: up to four cost more than one after the
// other, eight half as much.
const lanesFrom = 8

// sharedFrom in bytes is from where on an object is worth to be handed over for that.
const sharedFrom = 256 << 10

// perServer is how many hashes one server computes. It has 48 buffers. A hash takes one for what was left
// of the bytes before and does not tell of it until it has one for those that follow: 48 of them could
// wait for each other for ever.
const perServer = 32

// lanes makes hashes that are computed side by side where the processor can do so.
type lanes struct {
	mu      sync.Mutex
	servers []md5simd.Server
	hashes  int // Made so far.
}

// besides makes hashes for one of so many connections; nil where one MD5 after the other is faster. What
// it returns is valid until close.
func (l *lanes) besides(connections int) func() hash.Hash {
	if connections < lanesFrom {
		return nil
	}
	return l.hash
}

func (l *lanes) hash() hash.Hash {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hashes%perServer == 0 {
		l.servers = append(l.servers, md5simd.NewServer())
	}
	l.hashes++
	return l.servers[len(l.servers)-1].NewHash()
}

// close is called when no hash is used any more.
func (l *lanes) close() {
	for _, s := range l.servers {
		s.Close()
	}
}
