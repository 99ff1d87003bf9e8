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

// lanes makes hashes that are computed side by side where the processor can do so.
type lanes struct {
	once   sync.Once
	server md5simd.Server
}

// besides makes hashes for one of so many connections; nil where one MD5 after the other is faster. What it returns is valid until
// close.
func (l *lanes) besides(connections int) func() hash.Hash {
	if connections < lanesFrom {
		return nil
	}
	return func() hash.Hash {
		l.once.Do(func() { l.server = md5simd.NewServer() })
		return l.server.NewHash()
	}
}

// close is called when no hash is used any more.
func (l *lanes) close() {
	if l.server != nil {
		l.server.Close()
	}
}
