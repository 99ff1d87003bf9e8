// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"os"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/s3populator/s3populator/e2e/csi/image"
	"github.com/s3populator/s3populator/e2e/csi/loop"
	"github.com/s3populator/s3populator/e2e/csi/mount"
	"github.com/s3populator/s3populator/e2e/csi/store"
)

// NodeStageVolume attaches the image to a loop device and, unless the volume is a block device, mounts its file system.
func (n *node) NodeStageVolume(
	ctx context.Context,
	req *csi.NodeStageVolumeRequest,
) (*csi.NodeStageVolumeResponse, error) {
	if err := n.checkPath("staging_target_path", req.GetStagingTargetPath()); err != nil {
		return nil, err
	}
	a, err := parseAccess(req.GetVolumeCapability())
	if err != nil {
		return nil, err
	}
	volume, use, release, err := n.begin(req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	defer release()
	if err := admit(volume, a); err != nil {
		return nil, err
	}
	if a.block {
		err = n.stageBlock(volume, use, a)
	} else {
		err = n.stageMount(ctx, volume, use, req)
	}
	if err != nil {
		return nil, failure("stage volume", err)
	}
	return &csi.NodeStageVolumeResponse{}, nil
}

// stageBlock attaches a device that stays until the volume is unstaged: a bind-mounted node does not hold its device.
func (n *node) stageBlock(volume store.Volume, use usage, a access) error {
	if use.any() {
		return nil
	}
	device, err := loop.Attach(n.volumes.Image(volume.ID), loop.Options{ReadOnly: readerOnly(a.mode)})
	if err != nil {
		return err
	}
	return device.Close()
}

// stageMount mounts the file system on a device that frees itself when the last mount goes, even
// when the whole node is killed.
func (n *node) stageMount(ctx context.Context, volume store.Volume, use usage, req *csi.NodeStageVolumeRequest) error {
	point := req.GetStagingTargetPath()
	if _, staged := use.at(point); staged {
		return nil
	}
	if use.any() {
		return status.Errorf(codes.FailedPrecondition, "volume %s is staged already, at %v", volume.ID, use.points())
	}
	if err := os.MkdirAll(point, 0o750); err != nil {
		return err
	}
	path := n.volumes.Image(volume.ID)
	// A volume may be larger than the snapshot it was made from, or was expanded while nobody used it.
	if smaller, err := filesystemIsSmaller(path); err != nil {
		return err
	} else if smaller {
		if err := image.GrowUnmounted(ctx, path); err != nil {
			return err
		}
	}
	device, err := loop.Attach(path, loop.Options{AutoClear: true})
	if err != nil {
		return err
	}
	// noinit_itable: the kernel would write zeros to the inode tables of every volume, which nobody needs in a test.
	options := append([]string{"noinit_itable"}, req.GetVolumeCapability().GetMount().GetMountFlags()...)
	return errors.Join(mount.Ext4(device.Path, point, options), device.Close())
}

// filesystemIsSmaller tells whether the file system in an image ends before the image does.
func filesystemIsSmaller(path string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	have, err := image.FilesystemBytes(path)
	return have < info.Size(), err
}

// NodeUnstageVolume takes back what NodeStageVolume did. It works without the record too, so that a
// volume whose record was lost can still be cleaned up.
func (n *node) NodeUnstageVolume(
	_ context.Context,
	req *csi.NodeUnstageVolumeRequest,
) (*csi.NodeUnstageVolumeResponse, error) {
	point := req.GetStagingTargetPath()
	if err := n.checkPath("staging_target_path", point); err != nil {
		return nil, err
	}
	if err := required("volume_id", req.GetVolumeId()); err != nil {
		return nil, err
	}
	release, err := n.busy.take(volumeKey(req.GetVolumeId()))
	if err != nil {
		return nil, err
	}
	defer release()
	if err := mount.Unmount(point); err != nil {
		return nil, failure("unstage volume", err)
	}
	use, err := n.observe(req.GetVolumeId())
	if err != nil {
		return nil, failure("observe volume", err)
	}
	if len(use.mounts) > 0 {
		return nil, status.Errorf(
			codes.FailedPrecondition,
			"volume %s is still published at %v",
			req.GetVolumeId(),
			use.points(),
		)
	}
	for _, device := range use.devices {
		if err := loop.Detach(device); err != nil {
			return nil, failure("unstage volume", err)
		}
	}
	return &csi.NodeUnstageVolumeResponse{}, nil
}
