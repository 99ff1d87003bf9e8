// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/s3populator/s3populator/e2e/csi/store"
)

// CreateSnapshot copies a volume as it is at one moment. The copy outlives the volume.
func (c *controller) CreateSnapshot(
	ctx context.Context,
	req *csi.CreateSnapshotRequest,
) (*csi.CreateSnapshotResponse, error) {
	if req.GetName() == "" || req.GetSourceVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "name and source_volume_id: are required")
	}
	id := store.ID(req.GetName())
	release, err := c.busy.take(snapshotKey(id))
	if err != nil {
		return nil, err
	}
	defer release()
	existing, err := c.snapshots.Get(id)
	if err == nil {
		return repeated(existing, req.GetSourceVolumeId())
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, failure("read snapshot", err)
	}
	snapshot, err := c.snapshot(context.WithoutCancel(ctx), id, req)
	if err != nil {
		return nil, failure("create snapshot", err)
	}
	return &csi.CreateSnapshotResponse{Snapshot: describe(snapshot)}, nil
}

func repeated(existing store.Snapshot, volume string) (*csi.CreateSnapshotResponse, error) {
	if existing.Volume != volume {
		return nil, status.Errorf(codes.AlreadyExists, "snapshot %s exists and is of volume %s", existing.ID, existing.Volume)
	}
	return &csi.CreateSnapshotResponse{Snapshot: describe(existing)}, nil
}

func (c *controller) snapshot(ctx context.Context, id string, req *csi.CreateSnapshotRequest) (store.Snapshot, error) {
	release, err := c.busy.take(volumeKey(req.GetSourceVolumeId()))
	if err != nil {
		return store.Snapshot{}, err
	}
	defer release()
	volume, err := c.volumes.Get(req.GetSourceVolumeId())
	if err != nil {
		return store.Snapshot{}, err
	}
	free, err := c.reserve(snapshotKey(id), volume.CapacityBytes)
	if err != nil {
		return store.Snapshot{}, err
	}
	defer free()
	snapshot := store.Snapshot{
		ID: id, Owner: snapshotOwner(req.GetParameters()), Volume: volume.ID,
		SizeBytes: volume.CapacityBytes, Block: volume.Block, CreatedAt: time.Now().UTC(),
	}
	return snapshot, c.snapshots.Create(id, snapshot, func(path string) error { return c.copyVolume(ctx, volume, path) })
}

// DeleteSnapshot removes a snapshot; volumes made from it are copies and stay.
func (c *controller) DeleteSnapshot(
	_ context.Context,
	req *csi.DeleteSnapshotRequest,
) (*csi.DeleteSnapshotResponse, error) {
	if req.GetSnapshotId() == "" {
		return nil, status.Error(codes.InvalidArgument, "snapshot_id: is required")
	}
	release, err := c.busy.take(snapshotKey(req.GetSnapshotId()))
	if err != nil {
		return nil, err
	}
	defer release()
	if err := c.snapshots.Delete(req.GetSnapshotId()); err != nil {
		return nil, failure("delete snapshot", err)
	}
	return &csi.DeleteSnapshotResponse{}, nil
}

func describe(snapshot store.Snapshot) *csi.Snapshot {
	return &csi.Snapshot{
		SnapshotId: snapshot.ID, SourceVolumeId: snapshot.Volume, SizeBytes: snapshot.SizeBytes,
		CreationTime: timestamppb.New(snapshot.CreatedAt), ReadyToUse: true,
	}
}
