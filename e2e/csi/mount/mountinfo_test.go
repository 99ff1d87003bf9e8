// SPDX-License-Identifier: Apache-2.0

package mount

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	tests := map[string]struct {
		in      string
		want    []Mount
		wantErr bool
	}{
		"a file system": {
			in:   "36 35 7:3 / /mnt/point rw,noatime - ext4 /dev/loop3 rw",
			want: []Mount{{Device: "7:3", Root: "/", Point: "/mnt/point"}},
		},
		"a bind of a device node, with optional fields": {
			in:   "36 35 0:6 /loop3 /pod/device rw shared:7 master:2 - devtmpfs devtmpfs rw,size=1k",
			want: []Mount{{Device: "0:6", Root: "/loop3", Point: "/pod/device"}},
		},
		"a read-only bind of a writable file system": {
			in:   "36 35 7:3 / /ro ro,relatime - ext4 /dev/loop3 rw",
			want: []Mount{{Device: "7:3", Root: "/", Point: "/ro", ReadOnly: true}},
		},
		"a read-only file system": {
			in:   "36 35 7:3 / /ro rw - ext4 /dev/loop3 ro,errors=remount-ro",
			want: []Mount{{Device: "7:3", Root: "/", Point: "/ro", ReadOnly: true}},
		},
		"an option that only contains ro": {
			in:   "36 35 7:3 / /rw rw - ext4 /dev/loop3 rw,errors=remount-ro",
			want: []Mount{{Device: "7:3", Root: "/", Point: "/rw"}},
		},
		"names with spaces and backslashes": {
			in:   `36 35 7:3 / /a\040b\134c rw - ext4 /dev/loop3 rw`,
			want: []Mount{{Device: "7:3", Root: "/", Point: `/a b\c`}},
		},
		"an escaped backslash before digits is no escape": {
			in:   `36 35 7:3 / /a\134040 rw - ext4 /dev/loop3 rw`,
			want: []Mount{{Device: "7:3", Root: "/", Point: `/a\040`}},
		},
		"a line that is cut off": {in: "36 35 7:3 / /mnt/point rw", wantErr: true},
		"nothing":                {},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parse(strings.NewReader(test.in))
			if (err != nil) != test.wantErr {
				t.Fatalf("error %v, want one: %t", err, test.wantErr)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("mounts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSplit(t *testing.T) {
	bits, data := split([]string{"ro", "noatime", "commit=5", "rw", "errors=panic"})
	if bits != flags["ro"]|flags["noatime"] || data != "commit=5,errors=panic" {
		t.Errorf("got %x and %q", bits, data)
	}
}
