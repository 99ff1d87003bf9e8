// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/s3populator/s3populator/e2e/csi/image"
	"github.com/s3populator/s3populator/e2e/csi/loop"
)

// NodeExpandVolume lets the device and the file system of a volume in use follow its image, which
// the controller made larger.
func (n *node) NodeExpandVolume(
	ctx context.Context,
	req *csi.NodeExpandVolumeRequest,
) (*csi.NodeExpandVolumeResponse, error) {
	if err := required("volume_path", req.GetVolumePath()); err != nil {
		return nil, err
	}
	volume, use, release, err := n.begin(req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	defer release()
	// The kubelet names a mount point of a file system; for a block device it may name a device of its own on top of ours.
	if err := use.seenAt(req.GetVolumePath()); err != nil && !volume.Block {
		return nil, err
	}
	if !use.any() {
		return nil, status.Errorf(codes.FailedPrecondition, "volume %s is not staged", volume.ID)
	}
	for _, device := range slices.Concat(use.devices, use.views) {
		if err := loop.Refresh(device); err != nil {
			return nil, failure("expand volume", err)
		}
	}
	if !volume.Block {
		if err := n.growInUse(ctx, volume.ID, use.devices[0]); err != nil {
			return nil, failure("expand volume", err)
		}
	}
	return &csi.NodeExpandVolumeResponse{CapacityBytes: volume.CapacityBytes}, nil
}

// growInUse grows a mounted file system. Where the kernel does not allow that, the volume grows
// when it is staged next; the kubelet understands the code as "not while in use".
func (n *node) growInUse(ctx context.Context, id, device string) error {
	smaller, err := filesystemIsSmaller(n.volumes.Image(id))
	if err != nil || !smaller {
		return err
	}
	err = image.GrowMounted(ctx, device)
	if errors.Is(err, image.ErrOnline) {
		return status.Errorf(
			codes.FailedPrecondition,
			"volume %s: %v; it grows when no pod uses it and one starts again",
			id,
			err,
		)
	}
	return err
}

// NodeGetVolumeStats measures a volume in use.
func (n *node) NodeGetVolumeStats(
	_ context.Context,
	req *csi.NodeGetVolumeStatsRequest,
) (*csi.NodeGetVolumeStatsResponse, error) {
	err := errors.Join(required("volume_id", req.GetVolumeId()), required("volume_path", req.GetVolumePath()))
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	volume, err := n.volumes.Get(req.GetVolumeId())
	if err != nil {
		return nil, failure("find volume", err)
	}
	use, err := n.observe(volume.ID)
	if err != nil {
		return nil, failure("observe volume", err)
	}
	if err := use.seenAt(req.GetVolumePath()); err != nil {
		return nil, err
	}
	if volume.Block {
		return &csi.NodeGetVolumeStatsResponse{
			Usage: []*csi.VolumeUsage{{Unit: csi.VolumeUsage_BYTES, Total: volume.CapacityBytes}},
		}, nil
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(req.GetVolumePath(), &stat); err != nil {
		return nil, failure("measure file system", err)
	}
	return &csi.NodeGetVolumeStatsResponse{Usage: measured(stat)}, nil
}

// measured reads bytes and inodes as df does: available is what a process other than root can still use.
func measured(stat unix.Statfs_t) []*csi.VolumeUsage {
	blocks := func(count uint64) int64 { return int64(count) * stat.Bsize } // a volume is far below 2^63 bytes.
	return []*csi.VolumeUsage{{
		Unit: csi.VolumeUsage_BYTES, Total: blocks(stat.Blocks), Available: blocks(stat.Bavail),
		Used: blocks(stat.Blocks - stat.Bfree),
	}, {
		Unit:      csi.VolumeUsage_INODES,
		Total:     int64(stat.Files), // inodes are fewer than 2^32.
		Available: int64(stat.Ffree),
		Used:      int64(stat.Files - stat.Ffree),
	}}
}

// seenAt refuses a path at which the volume is not seen; CSI asks for NotFound.
func (u usage) seenAt(path string) error {
	if _, seen := u.at(path); !seen {
		return status.Errorf(codes.NotFound, "volume_path: the volume is not at %q but at %v", path, u.points())
	}
	return nil
}
