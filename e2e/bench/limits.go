// SPDX-License-Identifier: Apache-2.0

package main

// limits are how the components of the node are held back.
type limits struct {
	name string
	args map[string][]string // beside the node's own, by component
}

// prefix of the keys of figures that were measured with them.
func (l limits) prefix() string {
	if l.name == "raised" {
		return ""
	}
	return l.name + "_limits_"
}

// raised are those of the node for tests: 200 requests per second for each component, retries
// after 100 ms, and an etcd that does not wait for the disk. What remains is the work itself.
var raised = limits{name: "raised"}

// defaults are those with which the components are shipped, and an etcd that syncs each write.
// The API server's own limits are the default in both.
var defaults = limits{name: "default", args: map[string][]string{
	"etcd":                    {"--unsafe-no-fsync=false"},
	"kube-controller-manager": {"--kube-api-qps=20", "--kube-api-burst=30"},
	"kube-scheduler":          {"--kube-api-qps=50", "--kube-api-burst=100"},
	"kubelet":                 {"--kube-api-qps=50", "--kube-api-burst=100", "--event-qps=50", "--event-burst=100"},
	"csi-provisioner": {
		"--kube-api-qps=5", "--kube-api-burst=10", "--retry-interval-start=1s", "--retry-interval-max=5m",
		"--worker-threads=100", "--timeout=10s",
	},
}}
