// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// signature is what tells that a device holds something: bytes at an offset. A
// negative offset counts from the device's end.
type signature struct {
	name   string
	magic  string
	offset int64
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

// signatures are those of libblkid and of the kernel's on-disk formats. The
// order matters where two match: the first is named.
var signatures = []signature{
	{"a LUKS header", "LUKS\xba\xbe", 0},
	{"the second header of LUKS2", "SKUL\xba\xbe", 16 * kib},
	{"the second header of LUKS2", "SKUL\xba\xbe", 32 * kib},
	{"the second header of LUKS2", "SKUL\xba\xbe", 64 * kib},
	{"the second header of LUKS2", "SKUL\xba\xbe", 128 * kib},
	{"the second header of LUKS2", "SKUL\xba\xbe", 256 * kib},
	{"the second header of LUKS2", "SKUL\xba\xbe", 512 * kib},
	{"the second header of LUKS2", "SKUL\xba\xbe", 1 * mib},
	{"the second header of LUKS2", "SKUL\xba\xbe", 2 * mib},
	{"the second header of LUKS2", "SKUL\xba\xbe", 4 * mib},
	{"an ext2, ext3 or ext4 file system", "\x53\xef", 1024 + 0x38},
	{"an XFS file system", "XFSB", 0},
	{"a btrfs file system", "_BHRfS_M", 64*kib + 0x40},
	{"an F2FS file system", "\x10\x20\xf5\xf2", 1024},
	{"an EROFS file system", "\xe2\xe1\xf5\xe0", 1024},
	{"a SquashFS file system", "hsqs", 0},
	{"an ISO 9660 file system", "CD001", 32*kib + 1},
	{"an NTFS file system", "NTFS    ", 3},
	{"an exFAT file system", "EXFAT   ", 3},
	{"an LVM physical volume", "LABELONE", 0},
	{"an LVM physical volume", "LABELONE", 512},
	{"an LVM physical volume", "LABELONE", 1024},
	{"an LVM physical volume", "LABELONE", 1536},
	{"a member of an MD array", "\xfc\x4e\x2b\xa9", 0},
	{"a member of an MD array", "\xfc\x4e\x2b\xa9", 4 * kib},
	{"a member of an MD array", "\xfc\x4e\x2b\xa9", -8 * kib},
	{"a member of an MD array", "\xfc\x4e\x2b\xa9", -64 * kib},
	{"a bcache device", "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81", 4*kib + 24},
	{"a Ceph BlueStore device", "bluestore block device", 0},
	{"an Oracle ASM disk", "ORCLDISK", 32},
	{"swap space", "SWAPSPACE2", 4*kib - 10},
	{"swap space", "SWAPSPACE2", 16*kib - 10},
	{"swap space", "SWAPSPACE2", 64*kib - 10},
	{"swap space", "SWAP-SPACE", 4*kib - 10},
	{"a GUID partition table", "EFI PART", 512},
	{"a GUID partition table", "EFI PART", 4 * kib},
	{"the backup of a GUID partition table at its end", "EFI PART", -512},
	{"the backup of a GUID partition table at its end", "EFI PART", -4 * kib},
	{"a partition table or boot sector", "\x55\xaa", 510},
}

// The labels of ZFS: two at the start and two at the end of a device, each of 256 KiB, whose
// second half is a ring of blocks that begin with this number, in either byte order.
const (
	zfsLabel = 256 * kib
	zfsRing  = 128 * kib
	zfsBlock = 1 * kib
)

var zfsMagics = []string{"\x0c\xb1\xba\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\xba\xb1\x0c"}

// findSignature names what a device of this size begins or ends with, or returns the
// empty string.
func findSignature(device io.ReaderAt, size int64) (string, error) {
	for _, s := range signatures {
		found, err := hasAt(device, size, s.offset, s.magic)
		if err != nil {
			return "", err
		}
		if found {
			return s.name, nil
		}
	}
	whole := size / zfsLabel * zfsLabel
	for _, label := range []int64{0, zfsLabel, whole - 2*zfsLabel, whole - zfsLabel} {
		found, err := hasZFSLabel(device, size, label)
		if err != nil {
			return "", err
		}
		if found {
			return "a ZFS pool", nil
		}
	}
	return "", nil
}

func hasZFSLabel(device io.ReaderAt, size, label int64) (bool, error) {
	if label < 0 || label+zfsLabel > size {
		return false, nil
	}
	ring := make([]byte, zfsRing)
	if err := readAt(device, ring, label+zfsLabel-zfsRing); err != nil {
		return false, err
	}
	for at := 0; at < len(ring); at += zfsBlock {
		for _, magic := range zfsMagics {
			if bytes.HasPrefix(ring[at:], []byte(magic)) {
				return true, nil
			}
		}
	}
	return false, nil
}

// hasAt compares bytes at an offset; what lies outside the device is not there.
func hasAt(device io.ReaderAt, size, offset int64, magic string) (bool, error) {
	if offset < 0 {
		offset += size
	}
	if offset < 0 || offset+int64(len(magic)) > size {
		return false, nil
	}
	got := make([]byte, len(magic))
	if err := readAt(device, got, offset); err != nil {
		return false, err
	}
	return string(got) == magic, nil
}

func readAt(device io.ReaderAt, into []byte, offset int64) error {
	if n, err := device.ReadAt(into, offset); n < len(into) || err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the device at byte %d: %w", offset, err)
	}
	return nil
}
