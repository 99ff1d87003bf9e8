// SPDX-License-Identifier: Apache-2.0

package mount

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"
)

func TestMount(t *testing.T) {
	info := func(change func(*mountinfo.Info)) *mountinfo.Info {
		i := &mountinfo.Info{
			Major: 7, Minor: 3, Root: "/", Mountpoint: "/mnt/point", Options: "rw,noatime",
			FSType: "ext4", Source: "/dev/loop3", VFSOptions: "rw",
		}
		change(i)
		return i
	}
	tests := map[string]struct {
		change func(*mountinfo.Info)
		want   Mount
	}{
		"a file system": {
			func(*mountinfo.Info) {},
			Mount{Device: "7:3", Root: "/", Point: "/mnt/point"},
		},
		"a bind of a device node": {
			func(i *mountinfo.Info) { i.Major, i.Minor, i.Root = 0, 6, "/loop3" },
			Mount{Device: "0:6", Root: "/loop3", Point: "/mnt/point"},
		},
		"a read-only bind of a writable file system": {
			func(i *mountinfo.Info) { i.Options = "ro,relatime" },
			Mount{Device: "7:3", Root: "/", Point: "/mnt/point", ReadOnly: true},
		},
		"a read-only file system": {
			func(i *mountinfo.Info) { i.VFSOptions = "ro,errors=remount-ro" },
			Mount{Device: "7:3", Root: "/", Point: "/mnt/point", ReadOnly: true},
		},
		"an option that only contains ro": {
			func(i *mountinfo.Info) { i.VFSOptions = "rw,errors=remount-ro" },
			Mount{Device: "7:3", Root: "/", Point: "/mnt/point"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, mount(info(test.change))); diff != "" {
				t.Errorf("mount (-want +got):\n%s", diff)
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
