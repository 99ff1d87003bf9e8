// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"crypto/sha256"
	"os"
	"strings"
	"testing"

	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

func writeAt(t *testing.T, path, text string, offset int64) {
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

func hashOf(t *testing.T, path string) [32]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}

// TestADeviceThatHoldsSomethingIsLeftAlone: not a byte of it changes on a first attempt, nor
// on a later one when no mover of this claim began.
func TestADeviceThatHoldsSomethingIsLeftAlone(t *testing.T) {
	s := startVersity(t)
	s.put(t, "disk", content(1, 3<<20))
	const size = 8 << 20
	for name, tt := range map[string]struct {
		bytes  string
		offset int64
		want   string
	}{
		"a LUKS header":         {"LUKS\xba\xbe", 0, "a LUKS header"},
		"a file system":         {"\x53\xef", 1024 + 0x38, "an ext2, ext3 or ext4 file system"},
		"a partition table":     {"EFI PART", 512, "a GUID partition table"},
		"the backup of a table": {"EFI PART", size - 512, "at its end"},
		"another claim's header": {
			plan.Header{Claim: "another-claim", Pod: "a-pod", Request: "r"}.Line(), 0, "the journal of another claim",
		},
	} {
		for attempt, said := range map[int]string{1: "first", 2: "later"} {
			t.Run(name+", "+said+" attempt", func(t *testing.T) {
				b := blockBench(t, s.endpoint, 0)
				mustDo(t, os.WriteFile(b.options.Paths.Device, nil, 0o600))
				mustDo(t, os.Truncate(b.options.Paths.Device, size))
				writeAt(t, b.options.Paths.Device, tt.bytes, tt.offset)
				before := hashOf(t, b.options.Paths.Device)
				b.request.Attempt = attempt
				r := b.run()
				if r.Reason != wire.VolumeNotEmpty || r.Class != wire.User || !strings.Contains(r.Message, tt.want) || r.Began ||
					r.FetchedBytes > 0 {
					t.Errorf("report is %+v, want %s with %q", r, wire.VolumeNotEmpty, tt.want)
				}
				if shared := name == "another claim's header"; r.Shared != shared {
					t.Errorf("the report says that another claim has the device: %v, want %v", r.Shared, shared)
				}
				if hashOf(t, b.options.Paths.Device) != before {
					t.Error("the device was changed")
				}
			})
		}
	}
}

// TestADeviceThatIsTooSmallAndHoldsSomething is refused for what it holds: one that is only too small may be replaced.
func TestADeviceThatIsTooSmallAndHoldsSomething(t *testing.T) {
	s := startVersity(t)
	s.put(t, "disk", content(1, 3<<20))
	for attempt, began := range map[int]bool{1: false, 2: false, 3: true} {
		b := blockBench(t, s.endpoint, 1<<20)
		writeAt(t, b.options.Paths.Device, "LUKS\xba\xbe", 0)
		b.request.Attempt, b.request.Volume.Began = attempt, began
		if r := b.run(); r.Reason != wire.VolumeNotEmpty || !r.Held || r.Began || r.RequiredBytes > 0 {
			t.Errorf("report of attempt %d is %+v, want %s", attempt, r, wire.VolumeNotEmpty)
		}
	}
}
