// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/s3populator/s3populator/e2e/csi/loop"
	"github.com/s3populator/s3populator/e2e/csi/mount"
)

// NodePublishVolume shows a staged volume to one pod.
func (n *node) NodePublishVolume(
	_ context.Context,
	req *csi.NodePublishVolumeRequest,
) (*csi.NodePublishVolumeResponse, error) {
	staging, target := req.GetStagingTargetPath(), req.GetTargetPath()
	if err := errors.Join(n.checkPath("staging_target_path", staging), n.checkPath("target_path", target)); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	a, err := parseAccess(req.GetVolumeCapability())
	if err != nil {
		return nil, err
	}
	volume, use, release, err := n.begin(req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	defer release()
	if err := admitPublish(volume, a, target, use.published(staging)); err != nil {
		return nil, err
	}
	if !use.any() {
		return nil, status.Errorf(codes.FailedPrecondition, "volume %s is not staged", volume.ID)
	}
	if err := publish(use, publication{
		staging: staging, target: target, block: a.block,
		readOnly: req.GetReadonly() || readerOnly(a.mode),
	}); err != nil {
		return nil, failure("publish volume", err)
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

// publication is one appearance of a volume.
type publication struct {
	staging, target string
	block, readOnly bool
}

func publish(use usage, p publication) error {
	if existing, published := use.at(p.target); published {
		if existing.ReadOnly != p.readOnly && !p.block {
			return status.Errorf(codes.AlreadyExists, "%s: published already, read-only is %t", p.target, existing.ReadOnly)
		}
		return nil
	}
	if p.block {
		return publishBlock(use.devices[0], p)
	}
	if _, staged := use.at(p.staging); !staged {
		return status.Errorf(codes.FailedPrecondition, "%s: the volume is not staged here but at %v", p.staging, use.points())
	}
	if err := os.MkdirAll(p.target, 0o750); err != nil {
		return err
	}
	return mount.Bind(p.staging, p.target, p.readOnly)
}

// publishBlock binds the device node onto the target file. Its owner is the runtime's business: it
// makes a node of its own inside the container, owned by the container's user when
// device_ownership_from_security_context is set.
func publishBlock(device string, p publication) error {
	if err := os.MkdirAll(filepath.Dir(p.target), 0o750); err != nil {
		return err
	}
	file, err := os.OpenFile(p.target, os.O_CREATE|os.O_RDONLY, 0o660)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if !p.readOnly {
		return mount.Bind(device, p.target, false)
	}
	// A read-only mount does not stop writes to a device, so the pod gets a read-only device on top of the real one.
	view, err := loop.Attach(device, loop.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	err = mount.Bind(view.Path, p.target, false)
	if err != nil {
		err = errors.Join(err, loop.Detach(view.Path))
	}
	return errors.Join(err, view.Close())
}

// NodeUnpublishVolume takes a volume away from one pod. It works without the record too.
func (n *node) NodeUnpublishVolume(
	_ context.Context,
	req *csi.NodeUnpublishVolumeRequest,
) (*csi.NodeUnpublishVolumeResponse, error) {
	target := req.GetTargetPath()
	if err := n.checkPath("target_path", target); err != nil {
		return nil, err
	}
	if err := required("volume_id", req.GetVolumeId()); err != nil {
		return nil, err
	}
	release, err := n.busy.take(volumeKey(req.GetVolumeId()))
	if err != nil {
		return nil, err
	}
	defer release()
	use, err := n.observe(req.GetVolumeId())
	if err != nil {
		return nil, failure("observe volume", err)
	}
	view, err := use.viewAt(target)
	if err == nil {
		err = mount.Remove(target)
	}
	if err == nil && view != "" {
		err = loop.Detach(view)
	}
	if err != nil {
		return nil, failure("unpublish volume", err)
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

// viewAt is the read-only device that is shown at a target; empty when there is none.
func (u usage) viewAt(target string) (string, error) {
	if _, published := u.at(target); !published {
		return "", nil
	}
	shown, err := deviceNumber(target)
	if err != nil {
		return "", err
	}
	for _, view := range u.views {
		if number, err := deviceNumber(view); err != nil || number == shown {
			return view, err
		}
	}
	return "", nil
}
