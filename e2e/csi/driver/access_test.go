// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/s3populator/s3populator/e2e/csi/store"
)

const (
	rwo  = csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER
	rwop = csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER
	old  = csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER
	rox  = csi.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY
)

func mountOf(m mode, fsType string) *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{FsType: fsType}},
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: m},
	}
}

func blockOf(m mode) *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessType: &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}},
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: m},
	}
}

func TestParseAccesses(t *testing.T) {
	tests := map[string]struct {
		in       []*csi.VolumeCapability
		wantCode codes.Code
		wantMode []string
	}{
		"modes keep their order, which decides how the kubelet publishes": {
			in: []*csi.VolumeCapability{mountOf(rox, ""), mountOf(rwo, "ext4")}, wantMode: []string{rox.String(), rwo.String()},
		},
		"the older name of ReadWriteOnce is the newer one": {
			in:       []*csi.VolumeCapability{mountOf(old, "")},
			wantMode: []string{rwo.String()},
		},
		"a block device has no file system type": {
			in:       []*csi.VolumeCapability{blockOf(rwo)},
			wantMode: []string{rwo.String()},
		},
		"no capability is refused": {wantCode: codes.InvalidArgument},
		"another file system is refused": {
			in:       []*csi.VolumeCapability{mountOf(rwo, "xfs")},
			wantCode: codes.InvalidArgument,
		},
		"a missing access mode is refused": {
			in:       []*csi.VolumeCapability{mountOf(0, "")},
			wantCode: codes.InvalidArgument,
		},
		"an access mode of the future is refused": {
			in:       []*csi.VolumeCapability{mountOf(99, "")},
			wantCode: codes.InvalidArgument,
		},
		"a missing access type is refused": {
			in:       []*csi.VolumeCapability{{}},
			wantCode: codes.InvalidArgument,
		},
		"mount and block together are refused": {
			in: []*csi.VolumeCapability{mountOf(rwo, ""), blockOf(rwo)}, wantCode: codes.InvalidArgument,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			accesses, err := parseAccesses(test.in)
			if got := status.Code(err); got != test.wantCode {
				t.Fatalf("code %s (%v), want %s", got, err, test.wantCode)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(test.wantMode, modeNames(accesses)); diff != "" {
				t.Errorf("modes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAdmitPublish(t *testing.T) {
	volume := func(block bool, modes ...mode) store.Volume {
		v := store.Volume{ID: "v", Block: block}
		for _, m := range modes {
			v.AccessModes = append(v.AccessModes, m.String())
		}
		return v
	}
	tests := map[string]struct {
		volume    store.Volume
		access    access
		published []string
		wantCode  codes.Code
	}{
		"ReadWriteOnce may be used by two pods of the node": {
			volume:    volume(false, rwo),
			access:    access{mode: rwo},
			published: []string{"/a"},
		},
		"ReadWriteOnce by its older name":              {volume: volume(false, rwo), access: access{mode: old}},
		"ReadWriteOncePod may be published to one pod": {volume: volume(false, rwop), access: access{mode: rwop}},
		"ReadWriteOncePod may be published there once more": {
			volume:    volume(false, rwop),
			access:    access{mode: rwop},
			published: []string{"/target"},
		},
		"ReadWriteOncePod is refused to a second pod": {
			volume:    volume(false, rwop),
			access:    access{mode: rwop},
			published: []string{"/a"},
			wantCode:  codes.FailedPrecondition,
		},
		"a mode the volume was not made for is refused": {
			volume:   volume(false, rwo),
			access:   access{mode: rox},
			wantCode: codes.FailedPrecondition,
		},
		"a second mode of the volume is admitted": {volume: volume(false, rwo, rox), access: access{mode: rox}},
		"a file system is refused as a block device": {
			volume:   volume(false, rwo),
			access:   access{mode: rwo, block: true},
			wantCode: codes.FailedPrecondition,
		},
		"a block device is refused as a file system": {
			volume:   volume(true, rwo),
			access:   access{mode: rwo},
			wantCode: codes.FailedPrecondition,
		},
		"a block device is admitted as what it was made for": {
			volume: volume(true, rwo),
			access: access{mode: rwo, block: true},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := admitPublish(test.volume, test.access, "/target", test.published)
			if got := status.Code(err); got != test.wantCode {
				t.Errorf("code %s (%v), want %s", got, err, test.wantCode)
			}
		})
	}
}
