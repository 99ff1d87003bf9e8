// SPDX-License-Identifier: Apache-2.0

// Package node starts, uses and removes a real Kubernetes node for tests and
// demonstrations. All of a node lives in namespaces of its own and in one run
// directory, so that several can run side by side and none leaves anything
// behind. It is no way to run anything that should last.
package node

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/s3populator/s3populator/e2e/cluster/netns"
	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// Node is one that is up.
type Node struct {
	dir      rundir.Dir
	spec     rundir.Spec
	state    rundir.State
	lifeline *os.File // held open while the caller lives, if the node is attached
}

// Connect finds the node that runs in dir.
func Connect(dir string) (*Node, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("connect to the node: %w", err)
	}
	n := &Node{dir: rundir.Dir(dir)}
	if n.state, err = n.dir.ReadState(); err != nil {
		return nil, fmt.Errorf("connect to the node: %w", err)
	}
	if n.spec, err = n.dir.ReadSpec(); err != nil {
		return nil, fmt.Errorf("connect to the node: %w", err)
	}
	if !n.state.Init.Alive() {
		return nil, fmt.Errorf(
			"connect to the node: the node of %s has ended; see %s, then remove it with: go run ./e2e/cluster down --dir %s",
			dir,
			n.dir.Log("daemon"),
			dir,
		)
	}
	return n, nil
}

// Dir is the run directory.
func (n *Node) Dir() string { return string(n.dir) }

// Kubeconfig is the path of an administrator's kubeconfig. It works outside of
// the node and inside.
func (n *Node) Kubeconfig() string { return n.dir.Kubeconfig() }

// RESTConfig is an administrator's client configuration, usable from outside.
// It does not slow clients down.
func (n *Node) RESTConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", n.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	config.QPS = -1
	return config, nil
}

// Address is the node's address, reachable from pods and from inside.
func (n *Node) Address() string { return rundir.NodeAddress }

// ControlSocket is where the test CSI driver takes orders.
func (n *Node) ControlSocket() string { return filepath.Join(n.dir.CSI(), "control.sock") }

// Dial connects as if from inside the node, so that a test reaches servers, pods
// and Services. A name is looked up in the cluster's DNS.
func (n *Node) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial inside the node: %w", err)
	}
	if net.ParseIP(host) == nil {
		addresses, err := n.resolver().LookupIP(ctx, "ip4", host)
		if err != nil {
			return nil, fmt.Errorf("dial inside the node: %w", err)
		}
		host = addresses[0].String()
	}
	return netns.Dial(ctx, n.state.Init.PID, network, net.JoinHostPort(host, port))
}

// resolver asks the cluster's DNS.
func (n *Node) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return netns.Dial(ctx, n.state.Init.PID, network, net.JoinHostPort(rundir.NodeAddress, "53"))
	}}
}

// Command prepares a command that runs inside the node, as root, with
// KUBECONFIG set and the pinned tools on its PATH. When the context ends, it and
// what it started in its process group are killed.
func (n *Node) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	wd, err := os.Getwd()
	if err != nil {
		wd = "/"
	}
	enter := []string{
		"--target", fmt.Sprint(n.state.Init.PID), "--mount", "--net", "--pid", "--uts", "--ipc", "--wd=" + wd, "--", name,
	}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+n.path(), "KUBECONFIG="+n.Kubeconfig())
	// nsenter waits for a child in the node's process namespace; killing it
	// alone would leave that child.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	return cmd
}

// path finds the pinned tools before the system's.
func (n *Node) path() string {
	var dirs []string
	seen := map[string]bool{}
	for _, binary := range n.spec.Binaries {
		if d := filepath.Dir(binary); !seen[d] {
			seen[d] = true
			dirs = append(dirs, d)
		}
	}
	return strings.Join(append(dirs, "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"), ":")
}

// LoadImages gives the node OCI archives, under the names they carry.
func (n *Node) LoadImages(ctx context.Context, archives ...string) error {
	for _, archive := range archives {
		out, err := n.Command(ctx, n.spec.Binaries["ctr"], "-n", "k8s.io", "images", "import", archive).CombinedOutput()
		if err != nil {
			return fmt.Errorf("load image %s: %w\n%s", archive, err, out)
		}
	}
	return nil
}
