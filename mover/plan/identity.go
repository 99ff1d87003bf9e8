// SPDX-License-Identifier: Apache-2.0

package plan

import "golang.org/x/sys/unix"

// Identity tells a file from any other that is found under its path later.
type Identity struct {
	Inode   uint64
	Size    int64 // In bytes.
	ModTime int64 // Nanoseconds since 1970. Not ctime: the kubelet's chown changes that.
}

// IdentityOf is that of a file by what the system says of it.
func IdentityOf(s *unix.Stat_t) Identity {
	return Identity{Inode: s.Ino, Size: s.Size, ModTime: s.Mtim.Nano()}
}

// Range is part of an object, in bytes.
type Range struct{ Offset, Length int64 }

// End is the offset behind the range.
func (r Range) End() int64 { return r.Offset + r.Length }
