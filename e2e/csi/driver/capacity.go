// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"maps"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// GetCapacity tells how many bytes of volumes can still be made here.
func (c *controller) GetCapacity(_ context.Context, req *csi.GetCapacityRequest) (*csi.GetCapacityResponse, error) {
	if topology := req.GetAccessibleTopology(); topology != nil && !inTopology(topology, c.opts.Node) {
		return &csi.GetCapacityResponse{}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	taken, err := c.taken()
	if err != nil {
		return nil, failure("count volumes", err)
	}
	left := max(c.capacity-sum(taken), 0)
	return &csi.GetCapacityResponse{
		AvailableCapacity: left,
		MaximumVolumeSize: wrapperspb.Int64(left),
		MinimumVolumeSize: wrapperspb.Int64(mib),
	}, nil
}

// reserve takes bytes for what the key names while it is made or grows. The caller frees them once
// the record counts instead, or nothing was made.
func (d *Driver) reserve(key string, bytes int64) (free func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	taken, err := d.taken()
	if err != nil {
		return nil, err
	}
	delete(taken, key)
	if left := d.capacity - sum(taken); bytes > left {
		return nil, status.Errorf(
			codes.ResourceExhausted,
			"%s needs %d bytes, %d are left of %d",
			key,
			bytes,
			max(left, 0),
			d.capacity,
		)
	}
	d.reserved[key] = bytes
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.reserved, key)
	}, nil
}

// taken is the bytes of everything made or being made, by key. The caller holds mu.
func (d *Driver) taken() (map[string]int64, error) {
	volumes, err := d.volumes.List()
	if err != nil {
		return nil, err
	}
	snapshots, err := d.snapshots.List()
	if err != nil {
		return nil, err
	}
	taken := maps.Clone(d.reserved)
	for _, volume := range volumes {
		taken[volumeKey(volume.ID)] = max(taken[volumeKey(volume.ID)], volume.CapacityBytes)
	}
	for _, snapshot := range snapshots {
		taken[snapshotKey(snapshot.ID)] = max(taken[snapshotKey(snapshot.ID)], snapshot.SizeBytes)
	}
	return taken, nil
}

func volumeKey(id string) string   { return "volume " + id }
func snapshotKey(id string) string { return "snapshot " + id }

func sum(sizes map[string]int64) (total int64) {
	for _, bytes := range sizes {
		total += bytes
	}
	return total
}
