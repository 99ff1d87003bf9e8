// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"maps"
	"slices"
)

// kubernetesVersion is stamped into the Kubernetes programs, because a build
// outside their own repository leaves "v0.0.0-master" there, which clients and
// the version skew check of the kubelet take at its word. It must be the
// version in hack/tools/kubernetes/go.mod; a test compares them.
const kubernetesVersion = "v1.36.3"

const kubernetesLink = "-X k8s.io/component-base/version.gitVersion=" + kubernetesVersion

// tools is the list of everything that can be built; the versions are in the
// go.mod files.
var tools = []Tool{
	{Name: "kube-apiserver", Module: "kubernetes", Package: "k8s.io/kubernetes/cmd/kube-apiserver", Link: kubernetesLink},
	{
		Name:    "kube-controller-manager",
		Module:  "kubernetes",
		Package: "k8s.io/kubernetes/cmd/kube-controller-manager",
		Link:    kubernetesLink,
	},
	{Name: "kube-scheduler", Module: "kubernetes", Package: "k8s.io/kubernetes/cmd/kube-scheduler", Link: kubernetesLink},
	{Name: "kubelet", Module: "kubernetes", Package: "k8s.io/kubernetes/cmd/kubelet", Link: kubernetesLink},
	{Name: "kube-proxy", Module: "kubernetes", Package: "k8s.io/kubernetes/cmd/kube-proxy", Link: kubernetesLink},
	{Name: "kubectl", Module: "kubernetes", Package: "k8s.io/kubernetes/cmd/kubectl", Link: kubernetesLink},
	{Name: "etcd", Module: "etcd", Package: "go.etcd.io/etcd/server/v3"},
	{Name: "containerd", Module: "containerd", Package: "github.com/containerd/containerd/v2/cmd/containerd"},
	{
		Name:    "containerd-shim-runc-v2",
		Module:  "containerd",
		Package: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
	},
	{Name: "ctr", Module: "containerd", Package: "github.com/containerd/containerd/v2/cmd/ctr"},
	{Name: "coredns", Module: "coredns", Package: "github.com/coredns/coredns"},
	{
		Name:    "csi-provisioner",
		Module:  "external-provisioner",
		Package: "github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner",
	},
	{
		Name:    "csi-resizer",
		Module:  "external-resizer",
		Package: "github.com/kubernetes-csi/external-resizer/v2/cmd/csi-resizer",
	},
	{
		Name:    "csi-snapshotter",
		Module:  "external-snapshotter",
		Package: "github.com/kubernetes-csi/external-snapshotter/v8/cmd/csi-snapshotter",
	},
	{
		Name:    "snapshot-controller",
		Module:  "external-snapshotter",
		Package: "github.com/kubernetes-csi/external-snapshotter/v8/cmd/snapshot-controller",
	},
	{Name: "csi-sanity", Module: "csi-sanity", Package: "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity"},
	{Name: "versitygw", Module: "versitygw", Package: "github.com/versity/versitygw/cmd/versitygw"},
	{Name: "minio", Module: "minio", Package: "github.com/minio/minio"},
	{Name: "mc", Module: "mc", Package: "github.com/minio/mc"},
	{Name: "s5cmd", Module: "s5cmd", Package: "github.com/peak/s5cmd/v2"},
	{Name: "rclone", Module: "rclone", Package: "github.com/rclone/rclone"},
	{Name: "toxiproxy", Module: "toxiproxy", Package: "github.com/Shopify/toxiproxy/v2/cmd/server"},
	{Name: "golangci-lint", Module: "golangci-lint", Package: "github.com/golangci/golangci-lint/v2/cmd/golangci-lint"},
	{Name: "controller-gen", Module: "controller-gen", Package: "sigs.k8s.io/controller-tools/cmd/controller-gen"},
	{Name: "helm", Module: "helm", Package: "helm.sh/helm/v4/cmd/helm"},
	{Name: "kwok", Module: "kwok", Package: "sigs.k8s.io/kwok/cmd/kwok"},
	{Name: "deadcode", Module: "deadcode", Package: "golang.org/x/tools/cmd/deadcode"},
	{Name: "govulncheck", Module: "govulncheck", Package: "golang.org/x/vuln/cmd/govulncheck"},
}

// Names lists every tool, in the order in which a fresh machine needs them.
func Names() []string {
	out := make([]string, 0, len(tools))
	for _, t := range tools {
		out = append(out, t.Name)
	}
	return out
}

// byLinkFlags splits tools into what one go command can build together.
func byLinkFlags(in []Tool) [][]Tool {
	byFlags := map[string][]Tool{}
	for _, t := range in {
		byFlags[t.Link] = append(byFlags[t.Link], t)
	}
	out := make([][]Tool, 0, len(byFlags))
	for _, flags := range slices.Sorted(maps.Keys(byFlags)) {
		out = append(out, byFlags[flags])
	}
	return out
}
