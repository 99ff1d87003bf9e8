// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/s3populator/s3populator/e2e/csi/image"
	"github.com/s3populator/s3populator/e2e/csi/store"
)

// CreateVolume makes a volume. Its id follows from the name in the request, so a repeated request
// finds the volume of the first.
func (c *controller) CreateVolume(
	ctx context.Context,
	req *csi.CreateVolumeRequest,
) (*csi.CreateVolumeResponse, error) {
	wanted, err := c.wanted(req)
	if err != nil {
		return nil, err
	}
	release, err := c.busy.take(volumeKey(wanted.ID))
	if err != nil {
		return nil, err
	}
	defer release()
	existing, err := c.volumes.Get(wanted.ID)
	if err == nil {
		if err := same(existing, wanted, req.GetCapacityRange()); err != nil {
			return nil, err
		}
		return c.created(existing, req), nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, failure("read volume", err)
	}
	// A back end that finishes what it began, even when the caller has given up, is what leaks volumes in practice.
	if err := c.fill(context.WithoutCancel(ctx), wanted); err != nil {
		return nil, failure("create volume", err)
	}
	return c.created(wanted, req), nil
}

// wanted checks a request and turns it into the record of the volume it asks for.
func (c *controller) wanted(req *csi.CreateVolumeRequest) (store.Volume, error) {
	if req.GetName() == "" {
		return store.Volume{}, status.Error(codes.InvalidArgument, "name: is required")
	}
	accesses, err := parseAccesses(req.GetVolumeCapabilities())
	if err != nil {
		return store.Volume{}, err
	}
	bytes, err := size(req.GetCapacityRange(), accesses[0].block)
	if err != nil {
		return store.Volume{}, err
	}
	if err := c.checkSettings(req); err != nil {
		return store.Volume{}, err
	}
	return store.Volume{
		ID: store.ID(req.GetName()), Owner: claimOwner(req.GetParameters()), CapacityBytes: bytes,
		Block: accesses[0].block, AccessModes: modeNames(accesses),
		Parameters: req.GetParameters(), Attributes: req.GetMutableParameters(),
		Origin: origin(req.GetVolumeContentSource()), CreatedAt: time.Now().UTC(),
	}, nil
}

// checkSettings checks what a class, an attributes class and the scheduler ask for.
func (c *controller) checkSettings(req *csi.CreateVolumeRequest) error {
	if _, err := inodeRatio(req.GetParameters()); err != nil {
		return err
	}
	if err := checkAttributes(req.GetMutableParameters()); err != nil {
		return err
	}
	return reachable(req.GetAccessibilityRequirements(), c.opts.Node)
}

// same refuses a request whose name belongs to a volume that is not what the request asks for.
func same(existing, wanted store.Volume, asked *csi.CapacityRange) error {
	tooSmall := existing.CapacityBytes < wanted.CapacityBytes
	tooLarge := asked.GetLimitBytes() > 0 && existing.CapacityBytes > asked.GetLimitBytes()
	differs := tooSmall || tooLarge || existing.Block != wanted.Block || existing.Origin != wanted.Origin ||
		!slices.Equal(existing.AccessModes, wanted.AccessModes) || !maps.Equal(existing.Parameters, wanted.Parameters)
	if differs {
		return status.Errorf(
			codes.AlreadyExists,
			"volume %s exists with %d bytes and other properties than asked for",
			existing.ID,
			existing.CapacityBytes,
		)
	}
	return nil
}

// fill makes the image and the record.
func (c *controller) fill(ctx context.Context, volume store.Volume) error {
	source, err := c.sourceOf(volume)
	if err != nil {
		return err
	}
	free, err := c.reserve(volumeKey(volume.ID), volume.CapacityBytes)
	if err != nil {
		return err
	}
	defer free()
	return c.volumes.Create(volume.ID, volume, func(path string) error {
		if source.copyTo != nil {
			if err := source.copyTo(ctx, path); err != nil {
				return err
			}
			return image.Grow(path, volume.CapacityBytes)
		}
		return c.fresh(ctx, volume, path)
	})
}

// fresh makes an empty volume.
func (c *controller) fresh(ctx context.Context, volume store.Volume, path string) error {
	bytes := volume.CapacityBytes
	if c.opts.Shortfall != nil {
		bytes -= c.opts.Shortfall(volume.Owner)
	}
	leftover := volume.Parameters[ParameterLeftover]
	if volume.Block {
		if err := image.Create(path, bytes); err != nil || leftover == "" {
			return err
		}
		return image.LeaveXFS(path)
	}
	ratio, err := inodeRatio(volume.Parameters)
	if err != nil {
		return err
	}
	if err := c.templates.Make(ctx, path, bytes, ratio); err != nil || leftover == "" {
		return err
	}
	return image.LeaveFile(ctx, path, leftover)
}

func (c *controller) created(volume store.Volume, req *csi.CreateVolumeRequest) *csi.CreateVolumeResponse {
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId: volume.ID, CapacityBytes: volume.CapacityBytes, ContentSource: req.GetVolumeContentSource(),
		AccessibleTopology: []*csi.Topology{c.topology()},
	}}
}
