// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	registerv1 "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"github.com/s3populator/s3populator/e2e/csi/driver"
	"github.com/s3populator/s3populator/e2e/csi/fault"
	"github.com/s3populator/s3populator/e2e/csi/loop"
	"github.com/s3populator/s3populator/e2e/csi/roottest"
	"github.com/s3populator/s3populator/internal/testenv"
)

const mib = 1 << 20

// runAsDriver makes this test binary behave as the driver, so that tests can kill one.
const runAsDriver = "CSI_TEST_RUN_AS_DRIVER"

func TestMain(m *testing.M) {
	if os.Getenv(runAsDriver) != "" {
		main()
		return
	}
	os.Exit(testenv.OwnMounts(m))
}

// process is a driver in a process of its own.
type process struct {
	t       *testing.T
	dir     string
	command *exec.Cmd
	faults  *fault.Client
}

func begin(t *testing.T) *process {
	t.Helper()
	p := &process{t: t, dir: roottest.Dir(t)}
	p.faults = fault.New(p.path("control.sock"))
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *process) path(elements ...string) string {
	return filepath.Join(append([]string{p.dir}, elements...)...)
}

// start runs the driver until it listens on its last socket.
func (p *process) start() {
	p.t.Helper()
	p.command = exec.Command(os.Args[0], "--endpoint=unix://"+p.path("csi.sock"), "--registration-dir="+p.path("registry"),
		"--data="+p.path("data"), "--node=node-1", "--control="+p.path("control.sock"), "--kubelet-root="+p.path("kubelet"))
	p.command.Env = append(os.Environ(), runAsDriver+"=1")
	p.command.Stderr = os.Stderr
	if err := p.command.Start(); err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	_, err := registerv1.NewRegistrationClient(p.dial(p.registration())).GetInfo(ctx, &registerv1.InfoRequest{},
		grpc.WaitForReady(true))
	if err != nil {
		p.t.Fatalf("wait for the driver: %v", err)
	}
}

func (p *process) registration() string { return p.path("registry", driver.Name+"-reg.sock") }

// kill ends the driver as a crash does.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

func (p *process) dial(socket string) *grpc.ClientConn {
	p.t.Helper()
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = connection.Close() })
	return connection
}

func (p *process) controller() csi.ControllerClient {
	return csi.NewControllerClient(p.dial(p.path("csi.sock")))
}

func request(name, namespace string, size int64) *csi.CreateVolumeRequest {
	return &csi.CreateVolumeRequest{
		Name: name, CapacityRange: &csi.CapacityRange{RequiredBytes: size},
		VolumeCapabilities: []*csi.VolumeCapability{{
			AccessType: &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}},
			AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER},
		}},
		Parameters: map[string]string{"csi.storage.k8s.io/pvc/namespace": namespace, "csi.storage.k8s.io/pvc/name": "claim"},
	}
}

func TestKubeletRegistersTheDriver(t *testing.T) {
	p := begin(t)
	ctx := t.Context()
	kubelet := registerv1.NewRegistrationClient(p.dial(p.registration()))
	info, err := kubelet.GetInfo(ctx, &registerv1.InfoRequest{})
	if err != nil || info.GetName() != driver.Name || info.GetType() != registerv1.CSIPlugin {
		t.Fatalf("plugin info: %v, %v", info, err)
	}
	node, err := csi.NewNodeClient(p.dial(info.GetEndpoint())).NodeGetInfo(ctx, &csi.NodeGetInfoRequest{})
	if err != nil || node.GetNodeId() != "node-1" ||
		node.GetAccessibleTopology().GetSegments()[driver.TopologyKey] != "node-1" {
		t.Errorf("node: %v, %v", node, err)
	}
	if health, err := p.faults.Health(ctx); err != nil || health.Registered {
		t.Errorf("health before the kubelet's decision: %+v, %v", health, err)
	}
	for _, decision := range []*registerv1.RegistrationStatus{{Error: "version too old"}, {PluginRegistered: true}} {
		if _, err := kubelet.NotifyRegistrationStatus(ctx, decision); err != nil {
			t.Fatal(err)
		}
		health, err := p.faults.Health(ctx)
		if err != nil || health.Registered != decision.GetPluginRegistered() ||
			health.RegistrationError != decision.GetError() {
			t.Errorf("health after %v: %+v, %v", decision, health, err)
		}
	}
}

func TestFaultsReachTheDriver(t *testing.T) {
	p := begin(t)
	ctx := t.Context()
	controller := p.controller()
	p.add(fault.Reschedule(1).In("mine"))
	if _, err := controller.CreateVolume(ctx, request("pvc-1", "others", mib)); err != nil {
		t.Errorf("create in another namespace: %v", err)
	}
	if _, err := controller.CreateVolume(ctx, request("pvc-2", "mine", mib)); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("create: %v, want ResourceExhausted", err)
	}
	p.add(fault.Rule{Method: fault.CreateVolume, Namespace: "mine", Count: 1, Shortfall: mib})
	if _, err := controller.CreateVolume(ctx, request("pvc-2", "mine", 4*mib)); err != nil {
		t.Errorf("create once more: %v", err)
	}
	volumes, err := p.faults.Volumes(ctx, "mine")
	if err != nil || len(volumes) != 1 || volumes[0].CapacityBytes != 4*mib || volumes[0].ImageBytes != 3*mib {
		t.Errorf("volumes: %+v, %v; want one that claims 4 MiB and has 3", volumes, err)
	}
	calls, err := p.faults.Calls(ctx, "mine")
	if count := calls[fault.CreateVolume]; err != nil || count.Calls != 2 || count.Failed != 1 ||
		count.Codes["ResourceExhausted"] != 1 {
		t.Errorf("calls: %+v, %v", calls, err)
	}
	if _, err := p.faults.Add(ctx, fault.Rule{Method: fault.CreateVolume}); err == nil ||
		!strings.Contains(err.Error(), "disturbs nothing") {
		t.Errorf("a rule without effect: %v, want it refused with the reason", err)
	}
	if err := p.faults.Wipe(ctx, "mine"); err != nil {
		t.Errorf("wipe: %v", err)
	}
	if volumes, err := p.faults.Volumes(ctx, ""); err != nil || len(volumes) != 1 || volumes[0].Namespace != "others" {
		t.Errorf("volumes after wiping one namespace: %+v, %v", volumes, err)
	}
}

func TestHeldDeletionGoesOnWhenReleased(t *testing.T) {
	p := begin(t)
	ctx := t.Context()
	controller := p.controller()
	if _, err := controller.CreateVolume(ctx, request("pvc-1", "mine", mib)); err != nil {
		t.Fatal(err)
	}
	id := p.add(fault.Rule{Method: fault.DeleteVolume, Namespace: "mine", Hold: true})
	deleted := make(chan error, 1)
	go func() {
		_, err := controller.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: "pvc-1"})
		deleted <- err
	}()
	waiting := func(calls map[string]fault.Count) bool { return calls[fault.DeleteVolume].Waiting == 1 }
	if err := p.faults.Wait(ctx, "mine", waiting); err != nil {
		t.Fatal(err)
	}
	if volumes, err := p.faults.Volumes(ctx, "mine"); err != nil || len(volumes) != 1 {
		t.Errorf("volumes while the deletion is held: %+v, %v; want one", volumes, err)
	}
	if err := p.faults.Remove(ctx, id); err != nil {
		t.Error(err)
	}
	if err := <-deleted; err != nil {
		t.Errorf("delete: %v", err)
	}
	if volumes, err := p.faults.Volumes(ctx, "mine"); err != nil || len(volumes) != 0 {
		t.Errorf("volumes after the deletion: %+v, %v; want none", volumes, err)
	}
}

func TestDevicesOfAKilledNodeAreReleased(t *testing.T) {
	p := begin(t)
	ctx := t.Context()
	block := request("pvc-block", "mine", mib)
	if _, err := p.controller().CreateVolume(ctx, block); err != nil {
		t.Fatal(err)
	}
	_, err := csi.NewNodeClient(p.dial(p.path("csi.sock"))).NodeStageVolume(ctx, &csi.NodeStageVolumeRequest{
		VolumeId: "pvc-block", StagingTargetPath: p.path("kubelet", "staging"),
		VolumeCapability: block.GetVolumeCapabilities()[0],
	})
	if err != nil {
		t.Fatal(err)
	}
	devices, err := p.faults.Devices(ctx)
	if err != nil || len(devices) != 1 {
		t.Fatalf("devices: %v, %v; want one", devices, err)
	}
	above, err := loop.Attach(devices[0], loop.Options{}) // as the kubelet does.
	if err != nil {
		t.Fatal(err)
	}
	if err := above.Close(); err != nil {
		t.Fatal(err)
	}
	p.kill()
	for range 2 {
		if err := run(ctx, []string{"--release", "--data", p.path("data")}); err != nil {
			t.Errorf("release: %v", err)
		}
	}
	for _, backing := range []string{p.path("data", "volumes", "pvc-block", "image"), devices[0]} {
		if paths := released(t, backing); len(paths) != 0 {
			t.Errorf("devices of %s after release: %v, want none", backing, paths)
		}
	}
	p.start() // the sockets of the killed driver are in the way of nobody.
}

// released are the devices that a file has left. Other tests look at all devices, and who looks at one keeps it.
func released(t *testing.T, backing string) (paths []string) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		left, err := loop.List()
		if err != nil {
			t.Fatal(err)
		}
		if paths = loop.Of(backing, left); len(paths) == 0 || time.Since(begin) > roottest.Patience {
			return paths
		}
	}
}

func (p *process) add(rule fault.Rule) string {
	p.t.Helper()
	id, err := p.faults.Add(p.t.Context(), rule)
	if err != nil {
		p.t.Fatalf("add rule: %v", err)
	}
	return id
}
