// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/s3populator/s3populator/internal/testenv"
)

const imageSize = 8 << 20

// image makes a sparse device of zeroes.
func image(t *testing.T, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func signatureOf(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	found, err := findSignature(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// packages of Debian that bring the tools of made.
var packages = map[string]string{
	"mkfs.ext2":  "e2fsprogs",
	"mkfs.ext4":  "e2fsprogs",
	"mkfs.xfs":   "xfsprogs",
	"mkfs.btrfs": "btrfs-progs",
	"mkswap":     "util-linux",
	"sgdisk":     "gdisk",
	"mkfs.vfat":  "dosfstools",
	"mkfs.ntfs":  "ntfs-3g",
	"cryptsetup": "cryptsetup-bin",
}

// made are images that the tools of each format make.
var made = map[string]struct {
	command []string // The image is the last argument.
	want    string
}{
	"ext2":               {[]string{"mkfs.ext2", "-q", "-F"}, "ext2"},
	"ext4":               {[]string{"mkfs.ext4", "-q", "-F"}, "ext4"},
	"ext4, 1 KiB blocks": {[]string{"mkfs.ext4", "-q", "-F", "-b", "1024"}, "ext4"},
	"xfs":                {[]string{"mkfs.xfs", "-q", "-f"}, "XFS"},
	"btrfs":              {[]string{"mkfs.btrfs", "-q", "-f"}, "btrfs"},
	"swap":               {[]string{"mkswap"}, "swap"},
	"gpt":                {[]string{"sgdisk", "-n", "1:2048:+100M"}, "GUID partition table"},
	"vfat":               {[]string{"mkfs.vfat"}, "boot sector"},
	"ntfs":               {[]string{"mkfs.ntfs", "-q", "-F", "-f"}, "NTFS"},
	"luks1": {
		[]string{
			"cryptsetup",
			"luksFormat",
			"--type",
			"luks1",
			"-q",
			"--pbkdf-force-iterations",
			"1000",
			"--key-file",
			"/etc/hostname",
		},
		"LUKS",
	},
	"luks2": {
		[]string{
			"cryptsetup",
			"luksFormat",
			"--type",
			"luks2",
			"-q",
			"--pbkdf",
			"pbkdf2",
			"--pbkdf-force-iterations",
			"1000",
			"--key-file",
			"/etc/hostname",
		},
		"LUKS",
	},
}

// lay puts bytes on an image of zeroes, as it would be left by tools that may be absent here.
var lay = map[string]struct {
	bytes  string
	offset int64
	want   string
}{
	"ext":                    {"\x53\xef", 1080, "ext2, ext3 or ext4"},
	"xfs":                    {"XFSB\x00\x00\x10\x00", 0, "XFS"},
	"btrfs":                  {"_BHRfS_M", 65600, "btrfs"},
	"lvm in sector 1":        {"LABELONE\x01\x00\x00\x00", 512, "LVM"},
	"lvm in sector 3":        {"LABELONE", 1536, "LVM"},
	"luks1":                  {"LUKS\xba\xbe\x00\x01", 0, "LUKS"},
	"luks2":                  {"LUKS\xba\xbe\x00\x02", 0, "LUKS"},
	"luks2, header wiped":    {"SKUL\xba\xbe\x00\x02", 16 << 10, "LUKS2"},
	"gpt":                    {"EFI PART", 512, "GUID partition table"},
	"gpt of 4 KiB sectors":   {"EFI PART", 4096, "GUID partition table"},
	"gpt, only its backup":   {"EFI PART", imageSize - 512, "backup of a GUID partition table"},
	"mbr":                    {"\x55\xaa", 510, "partition table"},
	"swap":                   {"SWAPSPACE2", 4086, "swap"},
	"swap of 64 KiB pages":   {"SWAPSPACE2", 65526, "swap"},
	"zfs":                    {"\x0c\xb1\xba\x00\x00\x00\x00\x00", 128<<10 + 5<<10, "ZFS"},
	"zfs, other byte order":  {"\x00\x00\x00\x00\x00\xba\xb1\x0c", 128 << 10, "ZFS"},
	"zfs, only its last":     {"\x0c\xb1\xba\x00\x00\x00\x00\x00", imageSize - 128<<10, "ZFS"},
	"md 1.2":                 {"\xfc\x4e\x2b\xa9", 4096, "MD array"},
	"md 1.0":                 {"\xfc\x4e\x2b\xa9", imageSize - 8<<10, "MD array"},
	"f2fs":                   {"\x10\x20\xf5\xf2", 1024, "F2FS"},
	"bluestore":              {"bluestore block device\n", 0, "BlueStore"},
	"zeroes":                 {"", 0, ""},
	"bytes of no known kind": {"hello", 0, ""},
}

func TestFindSignature(t *testing.T) {
	for name, tt := range lay {
		t.Run(name, func(t *testing.T) {
			path := image(t, imageSize)
			putAt(t, path, tt.bytes, tt.offset)
			if got := signatureOf(t, path); got == "" != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
	for name, tt := range made {
		t.Run("made by "+tt.command[0]+": "+name, func(t *testing.T) {
			testenv.Program(t, tt.command[0], packages[tt.command[0]])
			path := image(t, 320<<20) // mkfs.xfs takes no less than 300 MiB.
			if out, err := exec.Command(tt.command[0], append(tt.command[1:], path)...).CombinedOutput(); err != nil {
				testenv.Skipf(t, "%v: %s", err, out)
			}
			if got := signatureOf(t, path); !strings.Contains(got, tt.want) {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("a device that is too small for any", func(t *testing.T) {
		for size := range int64(2048) {
			if got, err := findSignature(bytes.NewReader(make([]byte, size)), size); got != "" || err != nil {
				t.Errorf("%d bytes: found %q (%v)", size, got, err)
			}
		}
	})
}

func putAt(t *testing.T, path, text string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(text), offset); err != nil {
		t.Fatal(err)
	}
}
