// SPDX-License-Identifier: Apache-2.0

package story

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// Sizes in bytes.
const (
	KiB = 1 << 10
	MiB = 1 << 20
)

// Bytes makes content that no other seed has and that does not compress.
func Bytes(seed uint64, size int) []byte {
	b := make([]byte, size)
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

// Small is n objects of up to 4 KiB below a prefix, in a few directories, with names
// that a careless program would trip over.
func Small(prefix string, n int) map[string][]byte {
	names := []string{
		"plain.txt", "with blank.txt", "ünï-cødé.txt", "per%20cent+plus&amp.txt", "-dash.txt", "quote'\"s.txt", "dots..txt",
		".hidden", "tab;semi$dollar.txt", "UPPER.TXT",
	}
	out := map[string][]byte{}
	for i := range n {
		dir := [...]string{"", "a/", "a/b/", "c/d/e/f/"}[i%4]
		key := fmt.Sprintf("%s%s%03d-%s", prefix, dir, i, names[i%len(names)])
		out[key] = Bytes(uint64(i)+1, (i*397)%(4*KiB)+1)
	}
	return out
}

// Mixed is n objects: mostly small, some empty, some of hundreds of KiB, and two that are
// uploaded in parts.
func Mixed(prefix string, n int) map[string][]byte {
	out := Small(prefix, n-2)
	for i, key := range slices.Sorted(maps.Keys(out)) {
		switch {
		case i%100 == 0:
			out[key] = nil
		case i%50 == 0:
			out[key] = Bytes(uint64(i), 300*KiB+i)
		}
	}
	out[prefix+"large/ten.bin"] = Bytes(1<<32, 10*MiB+7)
	out[prefix+"large/forty.bin"] = Bytes(1<<33, 40*MiB+1)
	return out
}
