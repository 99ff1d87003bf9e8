// SPDX-License-Identifier: Apache-2.0

package node

import (
	"io"
	"time"
)

// Options of a node. The zero value is good: a complete node in a new directory
// of its own, with the images that tests need.
type Options struct {
	// Dir is the run directory. It must be empty or absent. Empty: a new one
	// in the directory for temporary files.
	Dir string
	// Components leaves some out, or changes how they run.
	Components Components
	// KubeletReserved is kept from pods, by resource, such as "memory": "1Gi".
	KubeletReserved map[string]string
	// BinderSyncPeriod is how often the controller manager looks at all claims
	// and volumes again. Zero: one second, where a cluster's default is 15 s.
	BinderSyncPeriod time.Duration
	// TerminatedPodThreshold is how many ended pods the controller manager
	// leaves. Zero: 12500, as in a cluster.
	TerminatedPodThreshold int
	// Images are built and loaded: targets that package image knows. Nil:
	// pause and probe. The pause image is always loaded.
	Images []string
	// Attached ends the node, and removes it, when the calling process ends
	// for whatever reason. A test wants this.
	Attached bool
	// Log receives one line for each build or installation. Nil: the standard
	// error output.
	Log io.Writer
}

// Components names components as their log files are named: etcd, containerd,
// kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy,
// coredns, csi, csi-provisioner, csi-resizer, csi-snapshotter and
// snapshot-controller.
type Components struct {
	// Skip lists what does not run.
	Skip []string
	// Args are further flags, by component; they override ours.
	Args map[string][]string
}

const (
	defaultBinderSync  = time.Second
	defaultGCThreshold = 12500
)

// withDefaults fills in what the caller left open.
func (o Options) withDefaults() Options {
	if o.BinderSyncPeriod == 0 {
		o.BinderSyncPeriod = defaultBinderSync
	}
	if o.TerminatedPodThreshold == 0 {
		o.TerminatedPodThreshold = defaultGCThreshold
	}
	if o.Images == nil {
		o.Images = []string{"probe"}
	}
	return o
}
