// SPDX-License-Identifier: Apache-2.0

package wire

import "fmt"

// MaxArrived is how many ranges a mover tells of at most: with them a Report and a Snapshot stay below 4 KiB.
const MaxArrived = 32

// Arrived is what movers have written of the one object of a Block volume, whose device has no room for a journal.
// A mover tells it in every Snapshot and in its Report, the manager keeps it with the attempts, and the next mover
// goes on from there. It is a hint: whoever uses it reads the ranges back from the device and compares their sums, and
// the whole object after that.
type Arrived struct {
	// Manifest is what Report.ManifestDigest would be, so that bytes of another object, or of another version of
	// it, are told from those of this one.
	Manifest string `json:"manifest"`
	// Most is how many bytes any mover had on the device, durably. To have more is progress.
	Most int64 `json:"most,omitempty"`
	// AtOnce means that nothing but the size of the object can be compared, which shows in the end alone: all of it has to
	// come in one go, and no range is of use.
	AtOnce bool `json:"atOnce,omitempty"`
	// Ranges are sorted and apart. The first sector, which carries the header meanwhile, is in none.
	Ranges []ArrivedRange `json:"ranges,omitempty"`
}

// ArrivedRange is a range in bytes and the CRC64NVME of what was written there.
type ArrivedRange struct {
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
	Sum    uint64 `json:"sum"`
}

// Check refuses what no mover says: it may come from a tenant's pod.
func (a *Arrived) Check() error {
	const longest = 128 // Of a digest, whatever its algorithm.
	switch {
	case a == nil:
		return nil
	case len(a.Ranges) > MaxArrived:
		return fmt.Errorf("arrived: %d ranges, and %d are allowed", len(a.Ranges), MaxArrived)
	case len(a.Manifest) > longest:
		return fmt.Errorf("arrived: a digest of %d characters", len(a.Manifest))
	case a.Most < 0:
		return fmt.Errorf("arrived: negative number")
	}
	at := int64(0)
	for _, r := range a.Ranges {
		if r.Offset < at || r.Length <= 0 || r.Offset+r.Length < r.Offset {
			return fmt.Errorf("arrived: range of %d bytes at %d, behind %d", r.Length, r.Offset, at)
		}
		at = r.Offset + r.Length
	}
	return nil
}
