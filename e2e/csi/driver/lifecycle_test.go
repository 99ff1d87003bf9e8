// SPDX-License-Identifier: Apache-2.0

package driver_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/s3populator/s3populator/e2e/csi/roottest"
)

func TestVolumeLivesFromCreateToDelete(t *testing.T) {
	h := start(t)
	id := h.create(volume("pvc-life", 16*mib, rwo))
	mnt := h.use(id, "pod-1", rwo)
	if info, err := os.Stat(filepath.Join(mnt, "lost+found")); err != nil || !info.IsDir() {
		t.Errorf("lost+found: %v, want a directory", err)
	}
	written := fillUp(t, filepath.Join(mnt, "data"))
	if written < 14*mib || written > 16*mib {
		t.Errorf("a volume of 16 MiB took %d bytes, want a little less than 16 MiB", written)
	}
	h.expand(id, 24*mib, "pod-1")
	if more := fillUp(t, filepath.Join(mnt, "more")); more < 7*mib || more > 8*mib {
		t.Errorf("8 MiB more took %d bytes, want a little less than that", more)
	}
	want := digest(t, filepath.Join(mnt, "data"))

	snapshot := h.snapshot(id, "snapshot-life")
	restored := h.create(&csi.CreateVolumeRequest{
		Name: "pvc-restored", CapacityRange: &csi.CapacityRange{RequiredBytes: 32 * mib},
		VolumeCapabilities: []*csi.VolumeCapability{rwo},
		VolumeContentSource: &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
			Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: snapshot},
		}},
	})
	h.unpublish(id, "pod-1")
	h.remove(id) // the snapshot and what was made from it outlive it.
	restoredMount := h.use(restored, "pod-2", rwo)
	if got := digest(t, filepath.Join(restoredMount, "data")); got != want {
		t.Errorf("restored file has digest %x, want %x", got, want)
	}
	if room := fillUp(t, filepath.Join(restoredMount, "room")); room < 7*mib {
		t.Errorf("a volume 8 MiB larger than its snapshot had room for %d bytes, want about 8 MiB", room)
	}
	h.unpublish(restored, "pod-2")
	h.remove(restored)
	h.deleteSnapshot(snapshot)
}

func TestTwentyVolumesAtOnce(t *testing.T) {
	h := start(t)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			id := h.create(volume(fmt.Sprintf("pvc-%d", i), 16*mib, rwo))
			mnt := h.use(id, "pod", rwo)
			content := bytes.Repeat([]byte{byte(i)}, 3*mib)
			if err := os.WriteFile(filepath.Join(mnt, "own"), content, 0o600); err != nil {
				t.Errorf("write: %v", err)
			}
			got, err := os.ReadFile(filepath.Join(mnt, "own"))
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("volume %d shows another volume's data: %v", i, err)
			}
			h.unpublish(id, "pod")
			h.remove(id)
		})
	}
	all.Wait()
	roottest.NothingLeft(t, h.dir)
	if left, err := h.driver.Volumes(""); err != nil || len(left) != 0 {
		t.Errorf("volumes left: %v, %v", left, err)
	}
}

func TestCloneOfVolumeInUseIsConsistent(t *testing.T) {
	h := start(t)
	source := h.create(volume("pvc-source", 16*mib, rwo))
	mnt := h.use(source, "pod", rwo)
	if err := os.WriteFile(filepath.Join(mnt, "unsynced"), []byte("not yet on disk"), 0o600); err != nil {
		t.Fatal(err)
	}
	request := volume("pvc-clone", 16*mib, rwo)
	request.VolumeContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
		Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: source},
	}}
	clone := h.create(request)
	if err := os.WriteFile(filepath.Join(mnt, "later"), nil, 0o600); err != nil {
		t.Errorf("write after the clone: %v; is the source still frozen?", err)
	}
	cloned := h.use(clone, "pod", rwo)
	got, err := os.ReadFile(filepath.Join(cloned, "unsynced"))
	if err != nil || string(got) != "not yet on disk" {
		t.Errorf("clone holds %q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(cloned, "later")); err == nil {
		t.Error("the clone holds what was written after it was made")
	}
	small := volume("pvc-too-small", 8*mib, rwo)
	small.VolumeContentSource = request.GetVolumeContentSource()
	_, err = h.controller.CreateVolume(t.Context(), small)
	wantCode(t, "clone into a smaller volume", err, codes.OutOfRange)
	for _, id := range []string{source, clone} {
		h.unpublish(id, "pod")
		h.remove(id)
	}
}

// expand grows a volume in use, each call twice. Where the kernel refuses to grow a mounted file
// system, the kubelet must be told so, and the volume must grow when its pod is started again.
func (h *harness) expand(id string, size int64, pod string) {
	h.t.Helper()
	for range 2 {
		_, err := h.controller.ControllerExpandVolume(h.t.Context(), &csi.ControllerExpandVolumeRequest{
			VolumeId: id, CapacityRange: &csi.CapacityRange{RequiredBytes: size},
		})
		if err != nil {
			h.t.Fatalf("expand: %v", err)
		}
	}
	request := &csi.NodeExpandVolumeRequest{VolumeId: id, VolumePath: h.target(id, pod)}
	if !mayResizeOnline(h.t) {
		_, err := h.node.NodeExpandVolume(h.t.Context(), request)
		wantCode(h.t, "expand in use without the right to", err, codes.FailedPrecondition)
		h.unpublish(id, pod)
		h.unstage(id)
		h.use(id, pod, rwo)
	}
	for range 2 {
		grown, err := h.node.NodeExpandVolume(h.t.Context(), request)
		if err != nil || grown.GetCapacityBytes() != size {
			h.t.Fatalf("expand on node: %v, %v; want %d bytes", grown, err, size)
		}
	}
}

func (h *harness) unstage(id string) {
	h.t.Helper()
	for range 2 {
		_, err := h.node.NodeUnstageVolume(
			h.t.Context(),
			&csi.NodeUnstageVolumeRequest{VolumeId: id, StagingTargetPath: h.staging(id)},
		)
		if err != nil {
			h.t.Fatalf("unstage: %v", err)
		}
	}
}

// mayResizeOnline tells whether this process has CAP_SYS_RESOURCE.
func mayResizeOnline(t *testing.T) bool {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatalf("read capabilities: %v", err)
	}
	return data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

func (h *harness) snapshot(volume, name string) string {
	h.t.Helper()
	request := &csi.CreateSnapshotRequest{SourceVolumeId: volume, Name: name}
	first, err := h.controller.CreateSnapshot(h.t.Context(), request)
	if err != nil || !first.GetSnapshot().GetReadyToUse() {
		h.t.Fatalf("snapshot: %v, %v; want one that is ready", first, err)
	}
	second, err := h.controller.CreateSnapshot(h.t.Context(), request)
	if err != nil ||
		!second.GetSnapshot().GetCreationTime().AsTime().Equal(first.GetSnapshot().GetCreationTime().AsTime()) {
		h.t.Fatalf("snapshot again: %v, %v; want the first one", second, err)
	}
	return first.GetSnapshot().GetSnapshotId()
}

func (h *harness) deleteSnapshot(id string) {
	h.t.Helper()
	for range 2 {
		if _, err := h.controller.DeleteSnapshot(h.t.Context(), &csi.DeleteSnapshotRequest{SnapshotId: id}); err != nil {
			h.t.Fatalf("delete snapshot: %v", err)
		}
	}
	list, err := h.controller.ListSnapshots(h.t.Context(), &csi.ListSnapshotsRequest{SnapshotId: id})
	if err != nil || len(list.GetEntries()) != 0 {
		h.t.Errorf("snapshots after delete: %v, %v; want none", list, err)
	}
}

func digest(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(content)
}
