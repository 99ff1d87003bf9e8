// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/s3populator/s3populator/e2e/csi/store"
)

// node answers the calls of the kubelet.
type node struct {
	csi.UnimplementedNodeServer
	*Driver
}

// nodeCapabilities is what the kubelet may call. VOLUME_MOUNT_GROUP is left out, so the kubelet
// applies fsGroup as for most drivers.
var nodeCapabilities = []csi.NodeServiceCapability_RPC_Type{
	csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME,
	csi.NodeServiceCapability_RPC_GET_VOLUME_STATS,
	csi.NodeServiceCapability_RPC_EXPAND_VOLUME,
	csi.NodeServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER,
}

// NodeGetCapabilities lists what the node can do.
func (n *node) NodeGetCapabilities(
	context.Context,
	*csi.NodeGetCapabilitiesRequest,
) (*csi.NodeGetCapabilitiesResponse, error) {
	response := &csi.NodeGetCapabilitiesResponse{}
	for _, kind := range nodeCapabilities {
		rpc := &csi.NodeServiceCapability_RPC{Type: kind}
		response.Capabilities = append(
			response.Capabilities,
			&csi.NodeServiceCapability{Type: &csi.NodeServiceCapability_Rpc{Rpc: rpc}},
		)
	}
	return response, nil
}

// NodeGetInfo names the node and where its volumes can be used.
func (n *node) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: n.opts.Node, AccessibleTopology: n.topology()}, nil
}

// begin locks a volume, finds its record and looks where it is used.
func (n *node) begin(id string) (volume store.Volume, use usage, release func(), err error) {
	if err := required("volume_id", id); err != nil {
		return volume, use, nil, err
	}
	release, err = n.busy.take(volumeKey(id))
	if err != nil {
		return volume, use, nil, err
	}
	volume, err = n.volumes.Get(id)
	if err == nil {
		use, err = n.observe(id)
	}
	if err != nil {
		release()
		return volume, use, nil, failure("find volume", err)
	}
	return volume, use, release, nil
}

// required refuses a field without a value; CSI asks for that before anything is looked up.
func required(field, value string) error {
	if value == "" {
		return status.Errorf(codes.InvalidArgument, "%s: is required", field)
	}
	return nil
}

// checkPath refuses a path that is missing, relative, or outside the kubelet's directory: the
// driver is root, and a wrong path here would mount over the machine.
func (n *node) checkPath(field, path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return status.Errorf(codes.InvalidArgument, "%s: %q must be a clean absolute path", field, path)
	}
	root := n.opts.KubeletRoot
	if root != "" && !strings.HasPrefix(path, strings.TrimSuffix(root, "/")+"/") {
		return status.Errorf(codes.InvalidArgument, "%s: %q must lie inside %s", field, path, root)
	}
	return nil
}
