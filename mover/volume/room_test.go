// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

const mi = 1 << 20

func TestRoom(t *testing.T) {
	tiny := func(n int) []object {
		list := make([]object, n)
		for i := range list {
			list[i] = object{key: "d/" + strings.Repeat("x", i/100+1) + "/" + strings.Repeat("y", i%100+1), size: 1}
		}
		return list
	}
	for name, tt := range map[string]struct {
		room     Room
		objects  []object
		have     int // Files that are there already.
		want     wire.Reason
		wantText []string
	}{
		"it fits": {
			room:    Room{blockSize: 4096, totalBytes: 20 * mi, freeBytes: 12 * mi, totalInodes: 100, freeInodes: 90},
			objects: []object{{key: "a", size: 10 * mi}},
		},
		"a byte file takes a block": {
			room:    Room{blockSize: 4096, totalBytes: 4 * mi, freeBytes: 3 * mi, totalInodes: 2000, freeInodes: 2000},
			objects: tiny(1000), want: wire.VolumeTooSmall,
		},
		"what is there needs no room": {
			room:    Room{blockSize: 4096, totalBytes: 20 * mi, freeBytes: 2 * mi, totalInodes: 100, freeInodes: 90},
			objects: []object{{key: "a", size: 10 * mi}, {key: "b", size: mi}}, have: 1,
		},
		"slack is kept": {
			room:    Room{blockSize: 4096, totalBytes: 20 * mi, freeBytes: 10 * mi, totalInodes: 100, freeInodes: 90},
			objects: []object{{key: "a", size: 10 * mi}}, want: wire.VolumeTooSmall,
		},
		"inodes on demand": {
			room: Room{blockSize: 4096, totalBytes: 20 * mi, freeBytes: 20 * mi}, objects: tiny(200),
		},
		"too few inodes": {
			room:    Room{blockSize: 4096, totalBytes: 100 * mi, freeBytes: 90 * mi, totalInodes: 100, freeInodes: 90},
			objects: tiny(200), want: wire.VolumeOutOfInodes,
			wantText: []string{"203 files and directories", "room for 90", "at least"},
		},
		"the message has both and a fix": {
			room:    Room{blockSize: 4096, totalBytes: 1000 * mi, freeBytes: 900 * mi, totalInodes: 100, freeInodes: 90},
			objects: []object{{key: "a", size: 2000 * mi}}, want: wire.VolumeTooSmall,
			wantText: []string{
				"takes 2003Mi", "900Mi are free of 1000Mi", "to at least 2313Mi", "spec.resources.requests.storage",
				"onTooSmall: Grow",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := makePlan(t, wire.Request{Operation: wire.Populate}, tt.objects...)
			if err != nil {
				t.Fatal(err)
			}
			tt.room.require(p, 0, func(i int) (int64, bool) {
				if i < tt.have {
					return tt.objects[i].size, true
				}
				return 0, false
			})
			err = tt.room.Check()
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			mustRefuse(t, err, tt.want, tt.wantText...)
			// The manager grows volumes by this number; the words are for people.
			if f, ok := errors.AsType[*fault.Failure](err); !ok || f.RequiredBytes <= tt.room.totalBytes ||
				!strings.Contains(f.Message, InUnits(f.RequiredBytes)) {
				t.Errorf("%v requires %d bytes, the volume has %d", err, f.RequiredBytes, tt.room.totalBytes)
			}
		})
	}
}

// TestRoomForNamesAndTheJournal: a million names in one directory are no single block, and the
// journal has a line for each.
func TestRoomForNamesAndTheJournal(t *testing.T) {
	const files = 10_000
	objects := make([]object, 0, files)
	for i := range files {
		objects = append(objects, object{key: fmt.Sprintf("directory/%0200d", i)})
	}
	p, err := makePlan(t, wire.Request{Operation: wire.Populate}, objects...)
	if err != nil {
		t.Fatal(err)
	}
	r := Room{blockSize: 4096}
	r.require(p, 0, func(int) (int64, bool) { return 0, false })
	if least := int64(files*(200+8) + files*(210+75)); r.needBytes < least {
		t.Errorf("%d empty files need %d bytes, want %d at least", files, r.needBytes, least)
	}
}

// TestRoomForWhatIsThereIsNotAskedForTwice: an attempt that goes on has the names, the lines of the
// journal and the directories already.
func TestRoomForWhatIsThereIsNotAskedForTwice(t *testing.T) {
	const files = 10_000
	objects := make([]object, 0, files)
	for i := range files {
		objects = append(objects, object{key: fmt.Sprintf("%d/%0200d", i, i)})
	}
	p, err := makePlan(t, wire.Request{Operation: wire.Populate}, objects...)
	if err != nil {
		t.Fatal(err)
	}
	r := Room{blockSize: 4096}
	r.require(p, files, func(int) (int64, bool) { return 0, true })
	if r.needBytes > roomSlack || r.needInodes > 0 {
		t.Errorf("nothing lacks, and %d bytes and %d inodes are needed", r.needBytes, r.needInodes)
	}
}

func TestInUnits(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 5: "5", 9999: "9999", 10 << 10: "10Ki", 1 << 20: "1Mi", 1<<20 + 1: "1025Ki", 1 << 30: "1Gi",
		150<<20 + 1: "151Mi", 5 << 30: "5Gi", 5<<30 + 1: "5121Mi",
	} {
		if got := InUnits(n); got != want {
			t.Errorf("inUnits(%d) = %s, want %s", n, got, want)
		}
	}
}

// object is what a test's S3 says about one object.
type object struct {
	key  string
	size int64
	etag string
}

func makePlan(t *testing.T, r wire.Request, objects ...object) (*plan.Plan, error) {
	t.Helper()
	p, err := plan.NewPlanner(r)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if o.etag == "" {
			o.etag = `"d41d8cd98f00b204e9800998ecf8427e"`
		}
		p.Add(o.key, o.size, o.etag)
	}
	return p.Finish()
}

func mustRefuse(t *testing.T, err error, reason wire.Reason, texts ...string) {
	t.Helper()
	if fault.ReasonOf(err) != reason {
		t.Fatalf("error is %v (reason %q), want reason %q", err, fault.ReasonOf(err), reason)
	}
	for _, s := range texts {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("message lacks %q:\n%s", s, err)
		}
	}
}
