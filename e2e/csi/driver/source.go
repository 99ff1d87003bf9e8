// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/s3populator/s3populator/e2e/csi/image"
	"github.com/s3populator/s3populator/e2e/csi/store"
)

// source is the content of a new volume; the zero value is no content.
type source struct {
	bytes  int64
	block  bool
	copyTo func(ctx context.Context, path string) error
}

// sourceOf finds what a volume is to be copied from, and refuses a source that does not fit.
func (c *controller) sourceOf(volume store.Volume) (source, error) {
	from, err := c.findSource(volume.Origin)
	if err != nil || from.copyTo == nil {
		return from, err
	}
	if from.block != volume.Block {
		return source{}, status.Errorf(
			codes.InvalidArgument,
			"content source: block is %t, the volume asks for %t",
			from.block,
			volume.Block,
		)
	}
	if from.bytes > volume.CapacityBytes {
		return source{}, status.Errorf(
			codes.OutOfRange,
			"content source: has %d bytes, the volume only %d",
			from.bytes,
			volume.CapacityBytes,
		)
	}
	return from, nil
}

func (c *controller) findSource(origin store.Origin) (source, error) {
	switch {
	case origin.Snapshot != "":
		snapshot, err := c.snapshots.Get(origin.Snapshot)
		if err != nil {
			return source{}, failure("find snapshot", err)
		}
		return source{bytes: snapshot.SizeBytes, block: snapshot.Block, copyTo: func(ctx context.Context, path string) error {
			return image.Copy(ctx, c.snapshots.Image(snapshot.ID), path)
		}}, nil
	case origin.Volume != "":
		volume, err := c.volumes.Get(origin.Volume)
		if err != nil {
			return source{}, failure("find source volume", err)
		}
		return source{bytes: volume.CapacityBytes, block: volume.Block, copyTo: func(ctx context.Context, path string) error {
			return c.copyVolume(ctx, volume, path)
		}}, nil
	default:
		return source{}, nil
	}
}

// copyVolume copies the image of a volume as it is at one moment, also while pods write to it.
func (d *Driver) copyVolume(ctx context.Context, volume store.Volume, path string) error {
	use, err := d.observe(volume.ID)
	if err != nil {
		return err
	}
	work := func() error { return image.Copy(ctx, d.volumes.Image(volume.ID), path) }
	if point, mounted := use.filesystem(); mounted {
		return image.Frozen(point, work)
	}
	for _, device := range use.devices {
		if err := image.Flush(device); err != nil {
			return err
		}
	}
	return work()
}
