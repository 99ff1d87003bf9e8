// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/s3populator/s3populator/e2e/csi/store"
)

const (
	// ParameterBytesPerInode is the class parameter that limits how many files fit on a volume.
	ParameterBytesPerInode = "bytesPerInode"
	// ParameterLeftover is the class parameter of storage that was used before: a file system has a file of
	// this name, a device begins as one that XFS was on.
	ParameterLeftover = "leftover"
	// AttributeTier is the mutable parameter; it is recorded and changes nothing else.
	AttributeTier = "tier"

	mib = 1 << 20
	// minFilesystem is the least that leaves an ext4 file system room worth testing.
	minFilesystem = 8 * mib
	// defaultBytes is the size of a volume that nobody gave a size.
	defaultBytes = 64 * mib
	// The range of inode ratios that mke2fs takes.
	minInodeRatio, maxInodeRatio = 1024, 64 * mib

	// reservedParameters is how the sidecars mark what they add to the parameters of a class.
	reservedParameters = "csi.storage.k8s.io/"
)

// tiers are the values that AttributeTier can have.
var tiers = []string{"standard", "fast"}

// size picks the bytes of a volume: what is asked for, rounded up to MiB, and at least what the kind of volume needs.
func size(asked *csi.CapacityRange, block bool) (int64, error) {
	required, limit := asked.GetRequiredBytes(), asked.GetLimitBytes()
	if required < 0 || limit < 0 || (limit > 0 && limit < required) {
		return 0, status.Errorf(codes.InvalidArgument, "capacity range: required %d and limit %d contradict", required, limit)
	}
	if required == 0 {
		required = defaultBytes
		if limit > 0 {
			required = min(limit, required)
		}
	}
	rounded := (required + mib - 1) / mib * mib
	if !block {
		rounded = max(rounded, minFilesystem)
	}
	if limit > 0 && rounded > limit {
		return 0, status.Errorf(
			codes.OutOfRange,
			"capacity range: the smallest possible volume has %d bytes, the limit is %d",
			rounded,
			limit,
		)
	}
	return rounded, nil
}

// inodeRatio reads the class parameters; 0 means the usual ratio.
func inodeRatio(parameters map[string]string) (int64, error) {
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if name != ParameterBytesPerInode && name != ParameterLeftover && !strings.HasPrefix(name, reservedParameters) {
			return 0, status.Errorf(
				codes.InvalidArgument,
				"parameters: %q is unknown, only %q and %q can be set",
				name,
				ParameterBytesPerInode,
				ParameterLeftover,
			)
		}
	}
	text, set := parameters[ParameterBytesPerInode]
	if !set {
		return 0, nil
	}
	ratio, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ratio < minInodeRatio || ratio > maxInodeRatio {
		return 0, status.Errorf(codes.InvalidArgument, "parameters: %s is %q, must be a number of bytes between %d and %d",
			ParameterBytesPerInode, text, minInodeRatio, maxInodeRatio)
	}
	return ratio, nil
}

// checkAttributes checks the mutable parameters, which a VolumeAttributesClass carries.
func checkAttributes(attributes map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		if name != AttributeTier {
			return status.Errorf(
				codes.InvalidArgument,
				"mutable parameters: %q is unknown, only %q can be set",
				name,
				AttributeTier,
			)
		}
	}
	if tier, set := attributes[AttributeTier]; set && !slices.Contains(tiers, tier) {
		return status.Errorf(
			codes.InvalidArgument,
			"mutable parameters: %s is %q, must be one of %v",
			AttributeTier,
			tier,
			tiers,
		)
	}
	return nil
}

// reachable tells whether a volume on the node satisfies the request's topology.
func reachable(requirement *csi.TopologyRequirement, node string) error {
	terms := slices.Concat(requirement.GetRequisite(), requirement.GetPreferred())
	for _, term := range terms {
		if inTopology(term, node) {
			return nil
		}
	}
	if len(terms) == 0 {
		return nil
	}
	return status.Errorf(codes.ResourceExhausted, "accessibility requirements: volumes can only be made on node %s", node)
}

// inTopology tells whether the node lies in a topology; a segment that this driver does not know excludes it.
func inTopology(topology *csi.Topology, node string) bool {
	for key, value := range topology.GetSegments() {
		if key != TopologyKey || value != node {
			return false
		}
	}
	return true
}

// claimOwner reads who a volume is for from what csi-provisioner adds with --extra-create-metadata.
func claimOwner(parameters map[string]string) store.Owner {
	return store.Owner{
		Namespace: parameters[reservedParameters+"pvc/namespace"],
		Name:      parameters[reservedParameters+"pvc/name"],
	}
}

// snapshotOwner reads who a snapshot is for from what csi-snapshotter adds with --extra-create-metadata.
func snapshotOwner(parameters map[string]string) store.Owner {
	prefix := reservedParameters + "volumesnapshot/"
	return store.Owner{Namespace: parameters[prefix+"namespace"], Name: parameters[prefix+"name"]}
}

// origin reads what a new volume is to be copied from.
func origin(source *csi.VolumeContentSource) store.Origin {
	return store.Origin{Snapshot: source.GetSnapshot().GetSnapshotId(), Volume: source.GetVolume().GetVolumeId()}
}
