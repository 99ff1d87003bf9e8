// SPDX-License-Identifier: Apache-2.0

package driver_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/s3populator/s3populator/e2e/csi/driver"
	"github.com/s3populator/s3populator/e2e/csi/image"
	"github.com/s3populator/s3populator/e2e/csi/roottest"
)

func TestRestartedDriverKnowsVolumesInUse(t *testing.T) {
	h := start(t)
	id := h.create(volume("pvc-restart", 16*mib, rwo))
	mnt := h.use(id, "pod", rwo)
	raw := h.create(volume("pvc-restart-block", mib, blockRWO))
	h.use(raw, "pod", blockRWO)
	h.restart()
	if err := os.WriteFile(filepath.Join(mnt, "file"), nil, 0o600); err != nil {
		t.Errorf("write while the driver restarts: %v", err)
	}
	_, err := h.controller.DeleteVolume(t.Context(), &csi.DeleteVolumeRequest{VolumeId: id})
	wantCode(t, "delete a volume in use", err, codes.FailedPrecondition)
	_, err = h.node.NodeUnstageVolume(
		t.Context(),
		&csi.NodeUnstageVolumeRequest{VolumeId: id, StagingTargetPath: h.staging(id)},
	)
	wantCode(t, "unstage a published volume", err, codes.FailedPrecondition)
	for _, volume := range []string{id, raw} {
		h.unpublish(volume, "pod")
		h.remove(volume)
	}
}

func TestRestartedDriverThawsWhatAKilledOneFroze(t *testing.T) {
	h := start(t)
	id := h.create(volume("pvc-frozen", 16*mib, rwo))
	mnt := h.use(id, "pod", rwo)
	killed := errors.New("killed in the middle of a snapshot")
	wrote := make(chan error, 1)
	// The new driver starts inside the freeze; that the old one also thaws afterwards must not hurt.
	err := image.Frozen(mnt, func() error {
		h.restart()
		go func() { wrote <- os.WriteFile(filepath.Join(mnt, "file"), nil, 0o600) }()
		select {
		case err := <-wrote:
			return errors.Join(killed, err)
		case <-time.After(time.Minute):
			return errors.New("the file system is still frozen")
		}
	})
	if !errors.Is(err, killed) {
		t.Errorf("write after restart: %v", err)
	}
	h.unpublish(id, "pod")
	h.remove(id)
}

func TestHalfMadeVolumeIsForgotten(t *testing.T) {
	h := start(t)
	draft := h.path("data", "volumes", ".draft-pvc-half")
	if err := os.Mkdir(draft, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(draft, "image"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.restart()
	if _, err := os.Stat(draft); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("draft after restart: %v, want it gone", err)
	}
	h.remove(h.create(volume("pvc-half", 8*mib, rwo)))
}

// TestNoVolumeIsOutsideItsDirectory: an ID becomes a path. Unknown IDs that are none are csi-sanity's.
func TestNoVolumeIsOutsideItsDirectory(t *testing.T) {
	h := start(t)
	for _, id := range []string{"../../etc", "..", "a/b"} {
		_, err := h.node.NodeStageVolume(t.Context(), &csi.NodeStageVolumeRequest{
			VolumeId: id, StagingTargetPath: h.path("kubelet", "staging"), VolumeCapability: rwo,
		})
		wantCode(t, "stage "+id, err, codes.NotFound)
		_, err = h.controller.ControllerModifyVolume(t.Context(), &csi.ControllerModifyVolumeRequest{VolumeId: id})
		wantCode(t, "modify "+id, err, codes.NotFound)
		if _, err := h.controller.DeleteVolume(t.Context(), &csi.DeleteVolumeRequest{VolumeId: id}); err != nil {
			t.Errorf("delete %s: %v, want that it is gone already", id, err)
		}
	}
	if _, err := os.Stat(h.path("data", "volumes")); err != nil {
		t.Errorf("directory of volumes: %v", err)
	}
}

func TestCapacityIsFiniteAndComesBack(t *testing.T) {
	h := start(t)
	h.driver.SetCapacity(100 * mib)
	first := h.create(volume("pvc-first", 60*mib, rwo))
	_, err := h.controller.CreateVolume(t.Context(), volume("pvc-second", 60*mib, rwo))
	wantCode(t, "create beyond the capacity", err, codes.ResourceExhausted)
	_, err = h.controller.CreateSnapshot(t.Context(), &csi.CreateSnapshotRequest{SourceVolumeId: first, Name: "snapshot"})
	wantCode(t, "snapshot beyond the capacity", err, codes.ResourceExhausted)
	grow := &csi.ControllerExpandVolumeRequest{
		VolumeId:      first,
		CapacityRange: &csi.CapacityRange{RequiredBytes: 101 * mib},
	}
	_, err = h.controller.ControllerExpandVolume(t.Context(), grow)
	wantCode(t, "expand beyond the capacity", err, codes.ResourceExhausted)
	grow.CapacityRange.RequiredBytes = 90 * mib
	if _, err = h.controller.ControllerExpandVolume(t.Context(), grow); err != nil {
		t.Errorf("expand within the capacity: %v", err)
	}
	h.wantCapacity(nil, 10*mib)
	h.wantCapacity(&csi.Topology{Segments: map[string]string{driver.TopologyKey: "another"}}, 0)
	h.remove(first)
	h.wantCapacity(nil, 100*mib)
}

func (h *harness) wantCapacity(topology *csi.Topology, want int64) {
	h.t.Helper()
	got, err := h.controller.GetCapacity(h.t.Context(), &csi.GetCapacityRequest{AccessibleTopology: topology})
	if err != nil || got.GetAvailableCapacity() != want {
		h.t.Errorf("capacity of %v: %v, %v; want %d", topology, got, err, want)
	}
}

func TestVolumesAreWipedWhileInUse(t *testing.T) {
	h := start(t)
	request := volume("pvc-wiped", 8*mib, rwo)
	request.Parameters = map[string]string{
		"csi.storage.k8s.io/pvc/namespace": "mine",
		"csi.storage.k8s.io/pvc/name":      "data",
	}
	h.use(h.create(request), "pod", rwo)
	raw := volume("pvc-wiped-block", mib, blockRWO)
	raw.Parameters = request.GetParameters()
	id := h.create(raw)
	h.use(id, "pod", blockRWO)
	if err := h.publish(id, "reader", blockRWO, true); err != nil {
		t.Fatal(err)
	}
	other := h.create(volume("pvc-kept", 8*mib, rwo))
	if err := h.driver.Wipe("mine"); err != nil {
		t.Fatalf("wipe: %v", err)
	}
	roottest.NothingLeft(t, h.dir)
	left, err := h.driver.Volumes("")
	if err != nil || len(left) != 1 || left[0].ID != other {
		t.Errorf("volumes left: %+v, %v; want %s only", left, err, other)
	}
	h.remove(other)
}

func TestAttributesAreRecorded(t *testing.T) {
	h := start(t)
	request := volume("pvc-tier", 8*mib, rwo)
	request.MutableParameters = map[string]string{driver.AttributeTier: "standard"}
	id := h.create(request)
	_, err := h.controller.ControllerModifyVolume(t.Context(), &csi.ControllerModifyVolumeRequest{
		VolumeId: id, MutableParameters: map[string]string{driver.AttributeTier: "fast"},
	})
	if err != nil {
		t.Errorf("modify: %v", err)
	}
	h.restart()
	volumes, err := h.driver.Volumes("")
	if err != nil || len(volumes) != 1 || volumes[0].Attributes[driver.AttributeTier] != "fast" {
		t.Errorf("volumes: %+v, %v; want tier fast", volumes, err)
	}
	h.remove(id)
}
