// SPDX-License-Identifier: Apache-2.0

package inside

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// stages says which components start together; each stage waits for what its
// successor cannot do without. See Run.
var stages = struct{ storage, api, node []string }{
	storage: []string{"etcd", "containerd"},
	api:     []string{"kube-apiserver"},
	node: []string{
		"kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns",
		"csi", "csi-provisioner", "csi-resizer", "csi-snapshotter", "snapshot-controller",
	},
}

// wanted says whether a component takes part: not when it was left out, and
// nothing of CSI without a driver.
func wanted(spec rundir.Spec, name string) bool {
	if slices.Contains(spec.Skip, name) || spec.Binaries[name] == "" {
		return false
	}
	needsDriver := []string{"csi-provisioner", "csi-resizer", "csi-snapshotter"}
	return !slices.Contains(needsDriver, name) || wanted(spec, "csi")
}

// command is how a component is run. What the caller adds comes last: these
// programs take a repeated flag's last value.
func command(spec rundir.Spec, name string) component {
	args := append([]string{spec.Binaries[name]}, flags(spec)[name]...)
	return component{name: name, args: append(args, spec.Args[name]...)}
}

func flags(spec rundir.Spec) map[string][]string {
	d := spec.Dir
	pki := func(file string) string { return filepath.Join(d.PKI(), file) }
	return map[string][]string{
		"etcd": {
			"--data-dir=/var/lib/etcd", "--name=node", "--log-level=warn", "--unsafe-no-fsync",
			"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
			"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
			"--initial-cluster=node=http://127.0.0.1:2380",
		},
		"containerd": {"--config=/etc/containerd/config.toml", "--log-level=info"},
		"kube-apiserver": {
			"--etcd-servers=http://127.0.0.1:2379", fmt.Sprintf("--secure-port=%d", spec.Port),
			"--advertise-address=" + rundir.NodeAddress,
			"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
			"--token-auth-file=" + pki("tokens.csv"), "--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=NodeRestriction",
			"--service-cluster-ip-range=" + rundir.ServiceNetwork, "--allow-privileged",
			"--kubelet-preferred-address-types=InternalIP",
			"--service-account-issuer=https://kubernetes.default.svc." + rundir.ClusterDomain,
			"--service-account-key-file=" + pki("service-accounts.pub"),
			"--service-account-signing-key-file=" + pki("service-accounts.key"),
			"--profiling=false",
		},
		"kube-controller-manager": {
			"--kubeconfig=" + kubeconfigOf(d, "kube-controller-manager"), "--leader-elect=false",
			"--use-service-account-credentials",
			"--service-account-private-key-file=" + pki("service-accounts.key"), "--root-ca-file=" + pki("ca.crt"),
			"--allocate-node-cidrs", "--cluster-cidr=" + rundir.PodNetwork,
			fmt.Sprintf("--node-cidr-mask-size=%d", rundir.PodMaskBits),
			"--service-cluster-ip-range=" + rundir.ServiceNetwork, "--kube-api-qps=200", "--kube-api-burst=400",
			"--pvclaimbinder-sync-period=" + spec.BinderSyncPeriod,
			fmt.Sprintf("--terminated-pod-gc-threshold=%d", spec.GCThreshold),
			"--bind-address=127.0.0.1",
		},
		"kube-scheduler": {
			"--kubeconfig=" + kubeconfigOf(d, "kube-scheduler"), "--leader-elect=false",
			"--bind-address=127.0.0.1", "--kube-api-qps=200", "--kube-api-burst=400",
		},
		"kubelet": {
			"--config=" + filepath.Join(d.Config(), "kubelet.yaml"), "--kubeconfig=" + kubeconfigOf(d, "kubelet"),
			"--hostname-override=" + rundir.NodeName, "--node-ip=" + rundir.NodeAddress, "--cert-dir=/var/lib/kubelet/pki",
			"--v=2",
		},
		"kube-proxy": {"--config=" + filepath.Join(d.Config(), "kube-proxy.yaml")},
		"coredns":    {"-conf", filepath.Join(d.Config(), "Corefile")},
		"csi":        driverFlags(d),
		"csi-provisioner": append(sidecarFlags(d), "--feature-gates=Topology=true", "--extra-create-metadata",
			"--default-fstype=ext4", "--worker-threads=20"),
		"csi-resizer":     append(sidecarFlags(d), "--workers=10"),
		"csi-snapshotter": append(sidecarFlags(d), "--extra-create-metadata"),
		"snapshot-controller": {
			"--kubeconfig=" + kubeconfigOf(d, "admin"), "--leader-election=false",
			"--retry-interval-start=100ms",
		},
	}
}

func driverFlags(d rundir.Dir) []string {
	return []string{
		"--endpoint", "unix://" + filepath.Join(d.CSI(), "csi.sock"), "--registration-dir",
		"/var/lib/kubelet/plugins_registry",
		"--data", filepath.Join(d.CSI(), "data"), "--node", rundir.NodeName, "--control",
		filepath.Join(d.CSI(), "control.sock"),
	}
}

// sidecarFlags make the sidecars prompt: first retry after 100 ms, not after
// seconds, because tests wait for them.
func sidecarFlags(d rundir.Dir) []string {
	return []string{
		"--csi-address=" + filepath.Join(
			d.CSI(),
			"csi.sock",
		), "--kubeconfig=" + kubeconfigOf(d, "admin"), "--leader-election=false",
		"--retry-interval-start=100ms", "--retry-interval-max=5s", "--kube-api-qps=200", "--kube-api-burst=400",
		"--timeout=1m",
	}
}
