// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"maps"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/s3populator/s3populator/e2e/csi/image"
)

// controller answers the calls of csi-provisioner, csi-resizer and csi-snapshotter.
type controller struct {
	csi.UnimplementedControllerServer
	*Driver
}

// controllerCapabilities is everything but attaching: volumes are files of the node that uses them.
var controllerCapabilities = []csi.ControllerServiceCapability_RPC_Type{
	csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
	csi.ControllerServiceCapability_RPC_LIST_VOLUMES,
	csi.ControllerServiceCapability_RPC_GET_CAPACITY,
	csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
	csi.ControllerServiceCapability_RPC_LIST_SNAPSHOTS,
	csi.ControllerServiceCapability_RPC_CLONE_VOLUME,
	csi.ControllerServiceCapability_RPC_EXPAND_VOLUME,
	csi.ControllerServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER,
	csi.ControllerServiceCapability_RPC_MODIFY_VOLUME,
}

// ControllerGetCapabilities lists what the controller can do.
func (c *controller) ControllerGetCapabilities(
	context.Context, *csi.ControllerGetCapabilitiesRequest,
) (*csi.ControllerGetCapabilitiesResponse, error) {
	response := &csi.ControllerGetCapabilitiesResponse{}
	for _, kind := range controllerCapabilities {
		rpc := &csi.ControllerServiceCapability_RPC{Type: kind}
		response.Capabilities = append(response.Capabilities,
			&csi.ControllerServiceCapability{Type: &csi.ControllerServiceCapability_Rpc{Rpc: rpc}})
	}
	return response, nil
}

// DeleteVolume removes a volume and its data. One in use is kept: deleting it would take the data from under a pod.
func (c *controller) DeleteVolume(_ context.Context, req *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	id := req.GetVolumeId()
	if id == "" {
		return nil, status.Error(codes.InvalidArgument, "volume_id: is required")
	}
	release, err := c.busy.take(volumeKey(id))
	if err != nil {
		return nil, err
	}
	defer release()
	use, err := c.observe(id)
	if err != nil {
		return nil, failure("observe volume", err)
	}
	if use.any() {
		return nil, status.Errorf(
			codes.FailedPrecondition,
			"volume %s is in use: devices %v, mounted at %v",
			id,
			use.devices,
			use.points(),
		)
	}
	if err := c.volumes.Delete(id); err != nil {
		return nil, failure("delete volume", err)
	}
	return &csi.DeleteVolumeResponse{}, nil
}

// ValidateVolumeCapabilities confirms the capabilities that a volume has.
func (c *controller) ValidateVolumeCapabilities(
	_ context.Context, req *csi.ValidateVolumeCapabilitiesRequest,
) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if req.GetVolumeId() == "" || len(req.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "volume_id and volume_capabilities: are required")
	}
	volume, err := c.volumes.Get(req.GetVolumeId())
	if err != nil {
		return nil, failure("find volume", err)
	}
	for _, capability := range req.GetVolumeCapabilities() {
		a, err := parseAccess(capability)
		if err == nil {
			err = admit(volume, a)
		}
		if err != nil {
			return &csi.ValidateVolumeCapabilitiesResponse{Message: status.Convert(err).Message()}, nil
		}
	}
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
		VolumeContext: req.GetVolumeContext(), VolumeCapabilities: req.GetVolumeCapabilities(),
		Parameters: req.GetParameters(),
	}}, nil
}

// ControllerExpandVolume makes the image larger; the device and the file system follow on the node.
func (c *controller) ControllerExpandVolume(
	_ context.Context, req *csi.ControllerExpandVolumeRequest,
) (*csi.ControllerExpandVolumeResponse, error) {
	if err := required("volume_id", req.GetVolumeId()); err != nil {
		return nil, err
	}
	if req.GetCapacityRange() == nil {
		return nil, status.Error(codes.InvalidArgument, "capacity_range: is required")
	}
	release, err := c.busy.take(volumeKey(req.GetVolumeId()))
	if err != nil {
		return nil, err
	}
	defer release()
	volume, err := c.volumes.Get(req.GetVolumeId())
	if err != nil {
		return nil, failure("find volume", err)
	}
	bytes, err := size(req.GetCapacityRange(), volume.Block)
	if err != nil {
		return nil, err
	}
	if bytes > volume.CapacityBytes {
		free, err := c.reserve(volumeKey(volume.ID), bytes)
		if err != nil {
			return nil, failure("reserve capacity", err)
		}
		defer free()
		volume.CapacityBytes = bytes
		if err := c.volumes.Put(volume.ID, volume); err != nil {
			return nil, failure("record size", err)
		}
	}
	// Also on a repeated call: the first may have died between the record and the image.
	if err := image.Grow(c.volumes.Image(volume.ID), bytes); err != nil {
		return nil, failure("expand volume", err)
	}
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: volume.CapacityBytes, NodeExpansionRequired: true}, nil
}

// ControllerModifyVolume records new mutable parameters.
func (c *controller) ControllerModifyVolume(
	_ context.Context, req *csi.ControllerModifyVolumeRequest,
) (*csi.ControllerModifyVolumeResponse, error) {
	if err := required("volume_id", req.GetVolumeId()); err != nil {
		return nil, err
	}
	if err := checkAttributes(req.GetMutableParameters()); err != nil {
		return nil, err
	}
	release, err := c.busy.take(volumeKey(req.GetVolumeId()))
	if err != nil {
		return nil, err
	}
	defer release()
	volume, err := c.volumes.Get(req.GetVolumeId())
	if err != nil {
		return nil, failure("find volume", err)
	}
	if volume.Attributes == nil {
		volume.Attributes = map[string]string{}
	}
	maps.Copy(volume.Attributes, req.GetMutableParameters())
	if err := c.volumes.Put(volume.ID, volume); err != nil {
		return nil, failure("record attributes", err)
	}
	return &csi.ControllerModifyVolumeResponse{}, nil
}
