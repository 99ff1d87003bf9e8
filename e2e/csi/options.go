// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// maxSocketPath is the length of sun_path in sockaddr_un, less its terminating zero.
const maxSocketPath = 107

// options are the command line.
type options struct {
	socket      string // of the CSI services.
	register    string // of the kubelet's plugin watcher; empty to not register.
	control     string // of fault injection; empty for none.
	data        string
	node        string
	kubeletRoot string
	capacity    int64
	release     bool
	verbose     bool
}

// parse reads and checks the command line.
func parse(args []string, output io.Writer, driver string) (options, error) {
	var o options
	var endpoint, directory string
	flags := flag.NewFlagSet("csi", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&endpoint, "endpoint", "", "address of the CSI services, unix:///path")
	flags.StringVar(&directory, "registration-dir", "", "the kubelet's plugins_registry directory; empty: do not register")
	flags.StringVar(&o.control, "control", "", "path of the socket for fault injection; empty: none")
	flags.StringVar(&o.data, "data", "", "directory of volumes and snapshots")
	flags.StringVar(&o.node, "node", "", "name of this node")
	flags.StringVar(&o.kubeletRoot, "kubelet-root", "", "when set, volumes are mounted only inside this directory")
	flags.Int64Var(&o.capacity, "capacity", 1<<40, "bytes that all volumes and snapshots together may have")
	flags.BoolVar(&o.verbose, "verbose", false, "log every call, not only those that fail")
	flags.BoolVar(&o.release, "release", false,
		"only detach the loop devices of --data, after a node was killed, and end; nothing else may use them any more")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.socket = strings.TrimPrefix(endpoint, "unix://")
	if directory != "" {
		o.register = filepath.Join(directory, driver+"-reg.sock")
	}
	return o, o.check()
}

func (o options) check() error {
	if o.data == "" {
		return errors.New("--data: is required, a directory for volumes")
	}
	if o.release {
		return nil
	}
	if !filepath.IsAbs(o.socket) {
		return fmt.Errorf("--endpoint: %q must be unix:// and an absolute path", o.socket)
	}
	if o.node == "" {
		return errors.New("--node: is required, the name of the Kubernetes node")
	}
	for _, path := range []string{o.socket, o.register, o.control} {
		if len(path) > maxSocketPath {
			return fmt.Errorf(
				"socket path %q: has %d bytes, at most %d are possible; use a shorter directory",
				path,
				len(path),
				maxSocketPath,
			)
		}
	}
	return nil
}
