// SPDX-License-Identifier: Apache-2.0

// Package rundir knows what a run directory holds: everything one node owns on
// disk, and the two files through which the library, the daemon and the node's
// init talk. It refuses to guess: a path is either here or belongs to nobody.
package rundir

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Addresses inside the node's own network namespace. They are the same in
// every run, because nothing outside can see them.
const (
	NodeName    = "node"
	NodeAddress = "10.200.0.1"
	NodeNetwork = "10.200.0.0/24"
	PodNetwork  = "10.201.0.0/16"
	// PodRange is the node's share of PodNetwork: the first that the controller
	// manager gives out, 1022 pods.
	PodRange       = "10.201.0.0/22"
	PodMaskBits    = 22
	ServiceNetwork = "10.96.0.0/16"
	ServiceAddress = "10.96.0.1" // the kubernetes Service: the first of ServiceNetwork
	ClusterDomain  = "cluster.local"
	// S3Domain is a domain of which every name is the node's address, so that S3
	// servers have names, also one for each bucket.
	S3Domain = "s3.test"
)

// maxPath bounds the directory's own path. A Unix socket's path has at most 107
// bytes, and the longest we hold is Dir/csi/control.sock.
const maxPath = 107 - len("/csi/control.sock")

// Dir is the absolute path of a run directory.
type Dir string

// Kubeconfig is the administrator's.
func (d Dir) Kubeconfig() string { return d.join("kubeconfig") }

// Logs holds those of the node's components and, below it, of its pods.
func (d Dir) Logs() string { return d.join("logs") }

// PKI holds keys and certificates.
func (d Dir) PKI() string { return d.join("pki") }

// Config holds the rendered configuration of components.
func (d Dir) Config() string { return d.join("config") }

// Data is what one component keeps.
func (d Dir) Data(name string) string { return d.join("data", name) }

// CSI holds the driver's volumes and sockets.
func (d Dir) CSI() string { return d.join("csi") }

// S3 holds what S3 servers keep.
func (d Dir) S3() string { return d.join("s3") }

// Temp is TMPDIR inside the node.
func (d Dir) Temp() string { return d.join("tmp") }

// PodLogs is where the kubelet writes.
func (d Dir) PodLogs() string { return d.join("logs", "pods") }

// Log is the file of one component.
func (d Dir) Log(component string) string { return filepath.Join(d.Logs(), component+".log") }

func (d Dir) join(elem ...string) string {
	return filepath.Join(append([]string{string(d)}, elem...)...)
}

// CgroupRoot is the run's own cgroup, the same path in every hierarchy.
func (d Dir) CgroupRoot() string {
	sum := sha256.Sum256([]byte(d))
	return "/s3populator-" + hex.EncodeToString(sum[:5])
}

// Check says whether the directory can serve as a run directory.
func (d Dir) Check() error {
	if !filepath.IsAbs(string(d)) {
		return fmt.Errorf("run directory %q is not an absolute path", d)
	}
	if len(d) > maxPath {
		return fmt.Errorf(
			"run directory %q has %d bytes; a Unix socket below it allows %d: choose a shorter one",
			d,
			len(d),
			maxPath,
		)
	}
	return nil
}

// State is what a running node's daemon publishes.
type State struct {
	Daemon Process `json:"daemon"`
	Init   Process `json:"init"`
	Port   int     `json:"port"` // of the API server, on 127.0.0.1 outside and inside
	Token  string  `json:"token"`
}

// Spec is what the daemon is asked to run. It holds paths, so that neither the
// daemon nor init searches for anything.
type Spec struct {
	Dir              Dir                 `json:"dir"`
	Binaries         map[string]string   `json:"binaries"` // by name, absolute
	CRDs             []string            `json:"crds"`     // files to create before the controllers start
	Port             int                 `json:"port"`
	Token            string              `json:"token"`
	Skip             []string            `json:"skip"`
	Args             map[string][]string `json:"args"`
	Reserved         map[string]string   `json:"reserved"`
	BinderSyncPeriod string              `json:"binderSyncPeriod"`
	GCThreshold      int                 `json:"gcThreshold"`
	Images           []string            `json:"images"`
	KeepBinds        []string            `json:"keepBinds"` // directories that must stay visible inside
	Attached         bool                `json:"attached"`  // ends when its starter does
}

// WriteState publishes the state; it appears at once or not at all.
func (d Dir) WriteState(s State) error { return d.write("state.json", s) }

// WriteSpec hands the daemon its orders.
func (d Dir) WriteSpec(s Spec) error { return d.write("spec.json", s) }

// ReadState reads what the daemon published.
func (d Dir) ReadState() (State, error) {
	var s State
	err := d.read("state.json", &s)
	return s, err
}

// ReadSpec reads the daemon's orders.
func (d Dir) ReadSpec() (Spec, error) {
	var s Spec
	err := d.read("spec.json", &s)
	return s, err
}

// write keeps the file from others: it holds the administrator's token.
func (d Dir) write(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	tmp := d.join(name + ".new")
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, d.join(name))
}

func (d Dir) read(name string, v any) error {
	data, err := os.ReadFile(d.join(name))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is not a run directory: %w", d, err)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decode %s: %w", d.join(name), err)
	}
	return nil
}
