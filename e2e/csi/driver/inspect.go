// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"errors"
	"fmt"
	"os"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/e2e/csi/fault"
	"github.com/s3populator/s3populator/e2e/csi/loop"
	"github.com/s3populator/s3populator/e2e/csi/mount"
	"github.com/s3populator/s3populator/e2e/csi/store"
)

// statBlock is the unit in which stat counts blocks, whatever the file system.
const statBlock = 512

// Volumes lists the volumes of a namespace and where they are used; empty means all.
func (d *Driver) Volumes(namespace string) ([]fault.Volume, error) {
	records, err := d.volumes.List()
	if err != nil {
		return nil, err
	}
	volumes := []fault.Volume{}
	for _, record := range records {
		if namespace != "" && record.Owner.Namespace != namespace {
			continue
		}
		volume, err := d.inspect(record)
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted since it was listed.
		}
		if err != nil {
			return nil, err
		}
		volumes = append(volumes, volume)
	}
	return volumes, nil
}

func (d *Driver) inspect(record store.Volume) (fault.Volume, error) {
	use, err := d.observe(record.ID)
	if err != nil {
		return fault.Volume{}, err
	}
	var stat unix.Stat_t
	if err := unix.Stat(d.volumes.Image(record.ID), &stat); err != nil {
		return fault.Volume{}, fmt.Errorf("stat image: %w", err)
	}
	return fault.Volume{
		ID: record.ID, Namespace: record.Owner.Namespace, Claim: record.Owner.Name, CapacityBytes: record.CapacityBytes,
		Block: record.Block, AccessModes: record.AccessModes, Parameters: record.Parameters, Attributes: record.Attributes,
		FromSnapshot: record.Origin.Snapshot, FromVolume: record.Origin.Volume, CreatedAt: record.CreatedAt,
		ImageBytes: stat.Size, DiskBytes: stat.Blocks * statBlock, Devices: use.devices, Mounts: use.points(),
	}, nil
}

// Snapshots lists the snapshots of a namespace; empty means all.
func (d *Driver) Snapshots(namespace string) ([]fault.Snapshot, error) {
	records, err := d.snapshots.List()
	if err != nil {
		return nil, err
	}
	snapshots := []fault.Snapshot{}
	for _, record := range records {
		if namespace != "" && record.Owner.Namespace != namespace {
			continue
		}
		snapshots = append(snapshots, fault.Snapshot{
			ID: record.ID, Namespace: record.Owner.Namespace, Name: record.Owner.Name, Volume: record.Volume,
			SizeBytes: record.SizeBytes, Block: record.Block, CreatedAt: record.CreatedAt,
		})
	}
	return snapshots, nil
}

// Devices lists the loop devices that show any image of this driver.
func (d *Driver) Devices() ([]string, error) {
	return loop.Under(d.opts.Data)
}

// Wipe takes the volumes and snapshots of a namespace away from whoever uses them and removes them; empty means all.
func (d *Driver) Wipe(namespace string) error {
	volumes, err := d.volumes.List()
	if err != nil {
		return err
	}
	for _, volume := range volumes {
		if namespace == "" || volume.Owner.Namespace == namespace {
			if err := d.wipe(volume.ID); err != nil {
				return fmt.Errorf("wipe volume %s: %w", volume.ID, err)
			}
		}
	}
	snapshots, err := d.snapshots.List()
	if err != nil {
		return err
	}
	for _, snapshot := range snapshots {
		if namespace == "" || snapshot.Owner.Namespace == namespace {
			if err := d.snapshots.Delete(snapshot.ID); err != nil {
				return fmt.Errorf("wipe snapshot %s: %w", snapshot.ID, err)
			}
		}
	}
	return nil
}

func (d *Driver) wipe(id string) error {
	release, err := d.busy.take(volumeKey(id))
	if err != nil {
		return err
	}
	defer release()
	use, err := d.observe(id)
	if err != nil {
		return err
	}
	for _, point := range use.points() {
		if err := mount.Unmount(point); err != nil {
			return err
		}
	}
	for _, device := range append(use.views, use.devices...) {
		if err := loop.Detach(device); err != nil {
			return err
		}
	}
	return d.volumes.Delete(id)
}

// Owner finds the claim or snapshot that a request is for; for an existing volume that is who it was made for.
func (d *Driver) Owner(request any) store.Owner {
	switch r := request.(type) {
	case *csi.CreateVolumeRequest:
		return claimOwner(r.GetParameters())
	case *csi.CreateSnapshotRequest:
		return snapshotOwner(r.GetParameters())
	case *csi.DeleteSnapshotRequest:
		snapshot, _ := d.snapshots.Get(r.GetSnapshotId()) // an unknown snapshot has no owner.
		return snapshot.Owner
	case interface{ GetVolumeId() string }:
		volume, _ := d.volumes.Get(r.GetVolumeId()) // an unknown volume has no owner.
		return volume.Owner
	default:
		return store.Owner{}
	}
}
