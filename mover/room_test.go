// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"io"
	"strings"
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

const mi = 1 << 20

func TestRoom(t *testing.T) {
	tiny := func(n int) []listed {
		list := make([]listed, n)
		for i := range list {
			list[i] = listed{key: "d/" + strings.Repeat("x", i/100+1) + "/" + strings.Repeat("y", i%100+1), size: 1}
		}
		return list
	}
	for name, tt := range map[string]struct {
		room     room
		objects  []listed
		have     int // Files that are there already.
		want     wire.Reason
		wantText []string
	}{
		"it fits":                        {room: room{blockSize: 4096, totalBytes: 20 * mi, freeBytes: 12 * mi, totalInodes: 100, freeInodes: 90}, objects: []listed{{key: "a", size: 10 * mi}}},
		"a byte file takes a block":      {room: room{blockSize: 4096, totalBytes: 4 * mi, freeBytes: 3 * mi, totalInodes: 2000, freeInodes: 2000}, objects: tiny(1000), want: wire.VolumeTooSmall},
		"what is there needs no room":    {room: room{blockSize: 4096, totalBytes: 20 * mi, freeBytes: 2 * mi, totalInodes: 100, freeInodes: 90}, objects: []listed{{key: "a", size: 10 * mi}, {key: "b", size: mi}}, have: 1},
		"slack is kept":                  {room: room{blockSize: 4096, totalBytes: 20 * mi, freeBytes: 10 * mi, totalInodes: 100, freeInodes: 90}, objects: []listed{{key: "a", size: 10 * mi}}, want: wire.VolumeTooSmall},
		"inodes on demand":               {room: room{blockSize: 4096, totalBytes: 20 * mi, freeBytes: 20 * mi}, objects: tiny(200)},
		"too few inodes":                 {room: room{blockSize: 4096, totalBytes: 100 * mi, freeBytes: 90 * mi, totalInodes: 100, freeInodes: 90}, objects: tiny(200), want: wire.VolumeOutOfInodes, wantText: []string{"203 files and directories", "room for 90", "at least"}},
		"the message has both and a fix": {room: room{blockSize: 4096, totalBytes: 1000 * mi, freeBytes: 900 * mi, totalInodes: 100, freeInodes: 90}, objects: []listed{{key: "a", size: 2000 * mi}}, want: wire.VolumeTooSmall, wantText: []string{"takes 2003Mi", "900Mi are free of 1000Mi", "to at least 2313Mi", "spec.resources.requests.storage", "onTooSmall: Grow"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := planOf(t, wire.Request{Operation: wire.Populate}, tt.objects...)
			if err != nil {
				t.Fatal(err)
			}
			tt.room.require(p, func(i int) (int64, bool) {
				if i < tt.have {
					return tt.objects[i].size, true
				}
				return 0, false
			})
			err = tt.room.check()
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			mustFail(t, err, tt.want, tt.wantText...)
			// The manager grows volumes by this number; the words are for people.
			if r := (&mover{options: Options{Log: io.Discard}}).report(nil, err); r.RequiredBytes <= tt.room.totalBytes ||
				!strings.Contains(r.Message, inUnits(r.RequiredBytes)) {
				t.Errorf("the report requires %d bytes, the volume has %d: %s", r.RequiredBytes, tt.room.totalBytes, r.Message)
			}
		})
	}
}

func TestInUnits(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 5: "5", 9999: "9999", 10 << 10: "10Ki", 1 << 20: "1Mi", 1<<20 + 1: "1025Ki", 1 << 30: "1Gi", 150<<20 + 1: "151Mi", 5 << 30: "5Gi", 5<<30 + 1: "5121Mi"} {
		if got := inUnits(n); got != want {
			t.Errorf("inUnits(%d) = %s, want %s", n, got, want)
		}
	}
}
