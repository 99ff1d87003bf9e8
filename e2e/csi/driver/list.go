// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"strconv"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/s3populator/s3populator/e2e/csi/store"
)

// ListVolumes lists the volumes by id, in pages.
func (c *controller) ListVolumes(_ context.Context, req *csi.ListVolumesRequest) (*csi.ListVolumesResponse, error) {
	volumes, err := c.volumes.List()
	if err != nil {
		return nil, failure("list volumes", err)
	}
	from, to, next, err := page(len(volumes), req.GetStartingToken(), int(req.GetMaxEntries()))
	if err != nil {
		return nil, err
	}
	response := &csi.ListVolumesResponse{NextToken: next}
	for _, volume := range volumes[from:to] {
		response.Entries = append(response.Entries, &csi.ListVolumesResponse_Entry{Volume: &csi.Volume{
			VolumeId: volume.ID, CapacityBytes: volume.CapacityBytes, AccessibleTopology: []*csi.Topology{c.topology()},
		}})
	}
	return response, nil
}

// ListSnapshots lists snapshots by id, in pages, all or those of one volume or one id.
func (c *controller) ListSnapshots(
	_ context.Context,
	req *csi.ListSnapshotsRequest,
) (*csi.ListSnapshotsResponse, error) {
	all, err := c.snapshots.List()
	if err != nil {
		return nil, failure("list snapshots", err)
	}
	var asked []store.Snapshot
	for _, snapshot := range all {
		id, volume := req.GetSnapshotId(), req.GetSourceVolumeId()
		if (id == "" || id == snapshot.ID) && (volume == "" || volume == snapshot.Volume) {
			asked = append(asked, snapshot)
		}
	}
	from, to, next, err := page(len(asked), req.GetStartingToken(), int(req.GetMaxEntries()))
	if err != nil {
		return nil, err
	}
	response := &csi.ListSnapshotsResponse{NextToken: next}
	for _, snapshot := range asked[from:to] {
		response.Entries = append(response.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: describe(snapshot)})
	}
	return response, nil
}

// page picks a slice of total entries; the token is the index of the first entry.
func page(total int, token string, limit int) (from, to int, next string, err error) {
	if token != "" {
		from, err = strconv.Atoi(token)
	}
	if err != nil || from < 0 || from > total {
		return 0, 0, "", status.Errorf(codes.Aborted, "starting_token: %q is not valid any more, start again without", token)
	}
	if limit < 0 {
		return 0, 0, "", status.Errorf(codes.InvalidArgument, "max_entries: is %d, must not be negative", limit)
	}
	if limit == 0 || from+limit >= total {
		return from, total, "", nil
	}
	return from, from + limit, strconv.Itoa(from + limit), nil
}
