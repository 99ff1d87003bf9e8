// SPDX-License-Identifier: Apache-2.0

package driver_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
)

func TestReadOnlyPublicationsRefuseWrites(t *testing.T) {
	h := start(t)
	id := h.create(volume("pvc-ro", 16*mib, rwo, rox))
	writable := h.use(id, "writer", rwo)
	if err := os.WriteFile(filepath.Join(writable, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.publish(id, "asked", rwo, true); err != nil {
		t.Fatalf("publish read-only: %v", err)
	}
	if err := h.publish(id, "by-mode", rox, false); err != nil {
		t.Fatalf("publish in a reader-only mode: %v", err)
	}
	for _, pod := range []string{"asked", "by-mode"} {
		path := h.target(id, pod)
		if got, err := os.ReadFile(filepath.Join(path, "file")); err != nil || string(got) != "content" {
			t.Errorf("%s reads %q, %v", pod, got, err)
		}
		if err := os.WriteFile(filepath.Join(path, "new"), nil, 0o600); !errors.Is(err, unix.EROFS) {
			t.Errorf("%s writes: %v, want a read-only file system", pod, err)
		}
	}
	wantCode(t, "publish with the other setting", h.publish(id, "asked", rwo, false), codes.AlreadyExists)
	if err := os.WriteFile(filepath.Join(writable, "still"), nil, 0o600); err != nil {
		t.Errorf("the first pod cannot write any more: %v", err)
	}
	for _, pod := range []string{"writer", "asked", "by-mode"} {
		h.unpublish(id, pod)
	}
	h.remove(id)
}

func TestReadWriteOncePodIsRefusedToSecondPod(t *testing.T) {
	h := start(t)
	id := h.create(volume("pvc-rwop", 8*mib, rwop))
	h.use(id, "first", rwop)
	wantCode(t, "second pod", h.publish(id, "second", rwop, false), codes.FailedPrecondition)
	h.unpublish(id, "first")
	if err := h.publish(id, "second", rwop, false); err != nil {
		t.Errorf("second pod after the first: %v", err)
	}
	h.unpublish(id, "second")
	h.remove(id)
}

func TestBlockVolume(t *testing.T) {
	h := start(t)
	id := h.create(volume("pvc-block", 4*mib, blockRWO))
	target := h.use(id, "pod", blockRWO)
	content := bytes.Repeat([]byte("block"), 4*mib/5)
	if err := writeDevice(t, target, content); err != nil {
		t.Fatal(err)
	}
	if size := deviceBytes(t, target); size != 4*mib {
		t.Errorf("device has %d bytes, want 4 MiB", size)
	}
	if err := h.publish(id, "reader", blockRWO, true); err != nil {
		t.Fatalf("publish read-only: %v", err)
	}
	if err := writeDevice(t, h.target(id, "reader"), []byte("no")); !errors.Is(err, os.ErrPermission) {
		t.Errorf("write to a read-only device: %v, want it refused", err)
	}
	if got, err := os.ReadFile(h.target(id, "reader")); err != nil || !bytes.Equal(got[:len(content)], content) {
		t.Errorf("the read-only device shows other data: %v", err)
	}
	for range 2 {
		request := &csi.ControllerExpandVolumeRequest{VolumeId: id, CapacityRange: &csi.CapacityRange{RequiredBytes: 6 * mib}}
		if _, err := h.controller.ControllerExpandVolume(t.Context(), request); err != nil {
			t.Fatalf("expand: %v", err)
		}
		if _, err := h.node.NodeExpandVolume(t.Context(),
			&csi.NodeExpandVolumeRequest{VolumeId: id, VolumePath: target}); err != nil {
			t.Fatalf("expand on node: %v", err)
		}
	}
	if size := deviceBytes(t, target); size != 6*mib {
		t.Errorf("expanded device has %d bytes, want 6 MiB", size)
	}
	snapshot := h.snapshot(id, "snapshot-block")
	h.unpublish(id, "reader")
	h.unpublish(id, "pod")
	h.remove(id)

	request := volume("pvc-from-block", 6*mib, blockRWO)
	request.VolumeContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
		Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: snapshot},
	}}
	restored := h.create(request)
	if got, err := os.ReadFile(h.use(restored, "pod", blockRWO)); err != nil || !bytes.Equal(got[:len(content)], content) {
		t.Errorf("restored device shows other data: %v", err)
	}
	h.unpublish(restored, "pod")
	h.remove(restored)
	h.deleteSnapshot(snapshot)
}

func TestInodesRunOut(t *testing.T) {
	h := start(t)
	request := volume("pvc-inodes", 32*mib, rwo)
	request.Parameters = map[string]string{"bytesPerInode": "1048576"}
	id := h.create(request)
	mnt := h.use(id, "pod", rwo)
	var err error
	made := 0
	for ; err == nil && made < 1000; made++ {
		err = os.WriteFile(filepath.Join(mnt, fmt.Sprintf("f%d", made)), nil, 0o600)
	}
	if !errors.Is(err, unix.ENOSPC) || made > 40 {
		t.Errorf("after %d files: %v, want no space after about 20", made, err)
	}
	stats, err := h.node.NodeGetVolumeStats(t.Context(), &csi.NodeGetVolumeStatsRequest{VolumeId: id, VolumePath: mnt})
	if err != nil {
		t.Fatalf("stats: %v", err)
	}
	for _, usage := range stats.GetUsage() {
		full := usage.GetUnit() == csi.VolumeUsage_INODES
		if full != (usage.GetAvailable() == 0) || usage.GetTotal() == 0 {
			t.Errorf("usage %v: want inodes used up and bytes not", usage)
		}
	}
	_, err = h.node.NodeGetVolumeStats(
		t.Context(),
		&csi.NodeGetVolumeStatsRequest{VolumeId: id, VolumePath: h.path("kubelet", "elsewhere")},
	)
	wantCode(t, "stats of another path", err, codes.NotFound)
	h.unpublish(id, "pod")
	h.remove(id)
}

func TestNothingIsMountedOutsideTheKubelet(t *testing.T) {
	h := start(t)
	id := h.create(volume("pvc-path", 8*mib, rwo))
	for _, path := range []string{
		"", "relative", h.path("elsewhere"), h.path("kubelet") + "/../elsewhere",
		h.path("kubelet"), "/",
	} {
		_, err := h.node.NodeStageVolume(
			t.Context(),
			&csi.NodeStageVolumeRequest{VolumeId: id, StagingTargetPath: path, VolumeCapability: rwo},
		)
		wantCode(t, "stage at "+path, err, codes.InvalidArgument)
	}
	h.stage(id, rwo)
	_, err := h.node.NodePublishVolume(t.Context(), &csi.NodePublishVolumeRequest{
		VolumeId: id, StagingTargetPath: h.staging(id), TargetPath: h.path("elsewhere"), VolumeCapability: rwo,
	})
	wantCode(t, "publish elsewhere", err, codes.InvalidArgument)
	h.remove(id)
}

// writeDevice writes to a device and waits until it is durable.
func writeDevice(t *testing.T, path string, content []byte) error {
	t.Helper()
	device, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = device.Write(content)
	return errors.Join(err, device.Sync(), device.Close())
}

func deviceBytes(t *testing.T, path string) int64 {
	t.Helper()
	device, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = device.Close() }()
	size, err := device.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	return size
}
