// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/s3populator/s3populator/e2e/csi/store"
)

type mode = csi.VolumeCapability_AccessMode_Mode

// access is a volume capability that was found to be supported.
type access struct {
	block   bool
	mode    mode
	options []string // mount options of the StorageClass.
}

// parseAccess checks one volume capability.
func parseAccess(capability *csi.VolumeCapability) (access, error) {
	a := access{
		block:   capability.GetBlock() != nil,
		mode:    capability.GetAccessMode().GetMode(),
		options: capability.GetMount().GetMountFlags(),
	}
	if capability.GetMount() == nil && !a.block {
		return access{}, status.Error(codes.InvalidArgument, "volume capability: access type must be mount or block")
	}
	if _, known := csi.VolumeCapability_AccessMode_Mode_name[int32(a.mode)]; !known ||
		a.mode == csi.VolumeCapability_AccessMode_UNKNOWN {
		return access{}, status.Errorf(codes.InvalidArgument, "volume capability: access mode %s is not supported", a.mode)
	}
	if fsType := capability.GetMount().GetFsType(); fsType != "" && fsType != "ext4" {
		return access{}, status.Errorf(
			codes.InvalidArgument,
			"volume capability: file system %q is not supported, use ext4",
			fsType,
		)
	}
	return a, nil
}

// parseAccesses checks the capabilities of one volume, which must agree on being a block device or not.
func parseAccesses(capabilities []*csi.VolumeCapability) ([]access, error) {
	if len(capabilities) == 0 {
		return nil, status.Error(codes.InvalidArgument, "volume capabilities: at least one is required")
	}
	accesses := make([]access, 0, len(capabilities))
	for _, capability := range capabilities {
		a, err := parseAccess(capability)
		if err != nil {
			return nil, err
		}
		if len(accesses) > 0 && a.block != accesses[0].block {
			return nil, status.Error(
				codes.InvalidArgument,
				"volume capabilities: a volume cannot be both mounted and a block device",
			)
		}
		accesses = append(accesses, a)
	}
	return accesses, nil
}

// modeNames is how access modes are recorded, in the order of the request.
func modeNames(accesses []access) []string {
	names := make([]string, 0, len(accesses))
	for _, a := range accesses {
		if name := canonical(a.mode).String(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// canonical maps the mode that older sidecars send for ReadWriteOnce to the one that newer ones send.
func canonical(m mode) mode {
	if m == csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER {
		return csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER
	}
	return m
}

// readerOnly tells whether a mode forbids writing.
func readerOnly(m mode) bool {
	return m == csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY ||
		m == csi.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY
}

// admit refuses an access that the volume was not made for.
func admit(volume store.Volume, a access) error {
	if a.block != volume.Block {
		return status.Errorf(
			codes.FailedPrecondition,
			"volume %s: block is %t, asked for %t",
			volume.ID,
			volume.Block,
			a.block,
		)
	}
	if name := canonical(a.mode).String(); !slices.Contains(volume.AccessModes, name) {
		return status.Errorf(
			codes.FailedPrecondition,
			"volume %s: made for access modes %v, not for %s",
			volume.ID,
			volume.AccessModes,
			name,
		)
	}
	return nil
}

// admitPublish refuses a second publication of a volume that only one pod may use. CSI asks for
// FailedPrecondition here.
func admitPublish(volume store.Volume, a access, target string, published []string) error {
	if err := admit(volume, a); err != nil {
		return err
	}
	others := slices.DeleteFunc(slices.Clone(published), func(point string) bool { return point == target })
	if canonical(a.mode) == csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER && len(others) > 0 {
		return status.Errorf(
			codes.FailedPrecondition,
			"volume %s: only one pod may use it and it is published at %v",
			volume.ID,
			others,
		)
	}
	return nil
}
