// SPDX-License-Identifier: Apache-2.0

package driver_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/s3populator/s3populator/e2e/csi/driver"
	"github.com/s3populator/s3populator/e2e/csi/roottest"
	"github.com/s3populator/s3populator/internal/testenv"
)

const (
	mib      = 1 << 20
	nodeName = "node-1"
)

func TestMain(m *testing.M) { os.Exit(testenv.OwnMounts(m)) }

// harness is a driver behind a real socket, and the part of the kubelet that calls it.
type harness struct {
	t   *testing.T
	dir string
	// The rest is replaced by restart.
	driver     *driver.Driver
	server     *grpc.Server
	served     <-chan struct{}
	controller csi.ControllerClient
	node       csi.NodeClient
}

func start(t *testing.T) *harness {
	t.Helper()
	h := &harness{t: t, dir: roottest.Dir(t)}
	if err := os.Mkdir(h.path("data"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.serve()
	t.Cleanup(func() { h.server.Stop() })
	return h
}

func (h *harness) serve() {
	h.t.Helper()
	var err error
	h.driver, err = driver.New(driver.Options{
		Data: h.path("data"), Node: nodeName, KubeletRoot: h.path("kubelet"), Capacity: 4096 * mib,
	})
	if err != nil {
		h.t.Fatalf("open driver: %v", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(h.t.Context(), "unix", h.path("csi.sock"))
	if err != nil {
		h.t.Fatal(err)
	}
	server := grpc.NewServer()
	h.server = server
	h.driver.Register(server)
	served := make(chan struct{})
	h.served = served
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	connection, err := grpc.NewClient(
		"unix://"+h.path("csi.sock"),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
	)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = connection.Close() })
	h.controller, h.node = csi.NewControllerClient(connection), csi.NewNodeClient(connection)
}

// restart replaces the driver by a new one that knows only the disk.
func (h *harness) restart() {
	h.t.Helper()
	h.server.Stop()
	<-h.served // One that is stopped before it serves closes its socket only then.
	h.serve()
}

func (h *harness) path(elements ...string) string {
	return filepath.Join(append([]string{h.dir}, elements...)...)
}

func (h *harness) staging(id string) string { return h.path("kubelet", "staging", id) }

func (h *harness) target(id, pod string) string { return h.path("kubelet", "pods", pod, id, "mount") }

func mounted(mode csi.VolumeCapability_AccessMode_Mode) *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{FsType: "ext4"}},
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: mode},
	}
}

func block(mode csi.VolumeCapability_AccessMode_Mode) *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessType: &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}},
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: mode},
	}
}

var (
	rwo      = mounted(csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER)
	rwop     = mounted(csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER)
	rox      = mounted(csi.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY)
	blockRWO = block(csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER)
)

func volume(name string, size int64, capabilities ...*csi.VolumeCapability) *csi.CreateVolumeRequest {
	return &csi.CreateVolumeRequest{
		Name: name, CapacityRange: &csi.CapacityRange{RequiredBytes: size}, VolumeCapabilities: capabilities,
	}
}

// create makes a volume twice, as sidecars do after a lost answer.
func (h *harness) create(request *csi.CreateVolumeRequest) string {
	h.t.Helper()
	first, err := h.controller.CreateVolume(h.t.Context(), request)
	if err != nil {
		h.t.Fatalf("create: %v", err)
	}
	second, err := h.controller.CreateVolume(h.t.Context(), request)
	if err != nil || second.GetVolume().GetVolumeId() != first.GetVolume().GetVolumeId() {
		h.t.Fatalf("create again: %v, %v; want the same volume as %v", second, err, first)
	}
	return first.GetVolume().GetVolumeId()
}

// use stages and publishes a volume, each twice, and returns where a pod sees it.
func (h *harness) use(id, pod string, capability *csi.VolumeCapability) string {
	h.t.Helper()
	for range 2 {
		h.stage(id, capability)
		if err := h.publish(id, pod, capability, false); err != nil {
			h.t.Fatalf("publish: %v", err)
		}
	}
	return h.target(id, pod)
}

func (h *harness) stage(id string, capability *csi.VolumeCapability) {
	h.t.Helper()
	_, err := h.node.NodeStageVolume(h.t.Context(), &csi.NodeStageVolumeRequest{
		VolumeId: id, StagingTargetPath: h.staging(id), VolumeCapability: capability,
	})
	if err != nil {
		h.t.Fatalf("stage: %v", err)
	}
}

func (h *harness) publish(id, pod string, capability *csi.VolumeCapability, readOnly bool) error {
	_, err := h.node.NodePublishVolume(h.t.Context(), &csi.NodePublishVolumeRequest{
		VolumeId: id, StagingTargetPath: h.staging(id), TargetPath: h.target(id, pod), VolumeCapability: capability,
		Readonly: readOnly,
	})
	return err
}

func (h *harness) unpublish(id, pod string) {
	h.t.Helper()
	for range 2 {
		_, err := h.node.NodeUnpublishVolume(
			h.t.Context(),
			&csi.NodeUnpublishVolumeRequest{VolumeId: id, TargetPath: h.target(id, pod)},
		)
		if err != nil {
			h.t.Fatalf("unpublish: %v", err)
		}
	}
	if _, err := os.Lstat(h.target(id, pod)); !errors.Is(err, os.ErrNotExist) {
		h.t.Errorf("target after unpublish: %v, want it gone", err)
	}
}

// remove unstages and deletes a volume, each twice.
func (h *harness) remove(id string) {
	h.t.Helper()
	h.unstage(id)
	for range 2 {
		if _, err := h.controller.DeleteVolume(h.t.Context(), &csi.DeleteVolumeRequest{VolumeId: id}); err != nil {
			h.t.Fatalf("delete: %v", err)
		}
	}
	if _, err := os.Stat(h.path("data", "volumes", id)); !errors.Is(err, os.ErrNotExist) {
		h.t.Errorf("directory of deleted volume %s: %v, want it gone", id, err)
	}
}

func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("%s: code %s (%v), want %s", what, got, err, want)
	}
}

// fillUp writes to a new file until the volume is full and returns how many bytes it took.
func fillUp(t *testing.T, path string) (written int64) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	chunk := make([]byte, mib)
	for i := range chunk {
		chunk[i] = byte(i * 7)
	}
	for {
		n, err := file.Write(chunk)
		written += int64(n)
		if errors.Is(err, unix.ENOSPC) {
			return written
		}
		if err != nil {
			t.Fatalf("fill volume: %v, want ENOSPC in the end", err)
		}
	}
}
