// SPDX-License-Identifier: Apache-2.0

// Package driver owns the CSI calls of the test driver: volumes on one node with a real size limit,
// real file systems and real block devices. It refuses to know any Kubernetes object, and to mount
// anything outside the directory it was given for that.
package driver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/s3populator/s3populator/e2e/csi/image"
	"github.com/s3populator/s3populator/e2e/csi/store"
)

const (
	// Name is what StorageClasses call this driver.
	Name = "csi.s3populator.test"
	// TopologyKey is the label of the node that holds a volume.
	TopologyKey = "topology." + Name + "/node"
	// version is of no consequence: there is one driver per checkout.
	version = "1.0.0"
)

// Options says where a driver works.
type Options struct {
	// Data is the directory of volumes and snapshots.
	Data string
	// Node is the name of the node whose volumes these are.
	Node string
	// KubeletRoot, when set, is the only directory in which volumes are mounted.
	KubeletRoot string
	// Capacity is the total size of all volumes and snapshots that may exist, in bytes.
	Capacity int64
	// Shortfall tells by how many bytes the image of a new volume is smaller than the driver says; nil means it is honest.
	Shortfall func(store.Owner) int64
}

// Driver answers the CSI calls of one node.
type Driver struct {
	opts      Options
	volumes   *store.Shelf[store.Volume]
	snapshots *store.Shelf[store.Snapshot]
	templates *image.Templates
	busy      locks

	mu       sync.Mutex
	capacity int64
	reserved map[string]int64 // bytes of what is being made or grown, by key.
}

// New opens the data directory and repairs what a killed driver left: half-made volumes and frozen file systems.
func New(opts Options) (*Driver, error) {
	if err := opts.resolve(); err != nil {
		return nil, err
	}
	volumes, err := store.Open[store.Volume](filepath.Join(opts.Data, "volumes"))
	if err != nil {
		return nil, err
	}
	snapshots, err := store.Open[store.Snapshot](filepath.Join(opts.Data, "snapshots"))
	if err != nil {
		return nil, err
	}
	templates, err := image.OpenTemplates(filepath.Join(opts.Data, "templates"))
	if err != nil {
		return nil, err
	}
	d := &Driver{
		opts: opts, volumes: volumes, snapshots: snapshots, templates: templates, capacity: opts.Capacity,
		reserved: map[string]int64{},
	}
	err = d.thaw()
	return d, err
}

// resolve makes paths what the kernel shows: a symbolic link in them would make devices and mounts
// impossible to find again.
func (o *Options) resolve() error {
	data, err := filepath.EvalSymlinks(o.Data)
	if err != nil {
		return fmt.Errorf("resolve data directory: %w", err)
	}
	if o.Data, err = filepath.Abs(data); err != nil {
		return fmt.Errorf("resolve data directory: %w", err)
	}
	if o.KubeletRoot == "" {
		return nil
	}
	root, err := filepath.EvalSymlinks(o.KubeletRoot)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("resolve kubelet directory: %w", err)
	}
	if err == nil && root != filepath.Clean(o.KubeletRoot) {
		return fmt.Errorf("kubelet directory %q: has a symbolic link in it, use %q", o.KubeletRoot, root)
	}
	return nil
}

// Register adds the three CSI services to a server.
func (d *Driver) Register(server *grpc.Server) {
	csi.RegisterIdentityServer(server, identity{})
	csi.RegisterControllerServer(server, &controller{Driver: d})
	csi.RegisterNodeServer(server, &node{Driver: d})
}

// SetCapacity changes how many bytes all volumes and snapshots together may have.
func (d *Driver) SetCapacity(total int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = total
}

// topology is where every volume of this driver can be used.
func (d *Driver) topology() *csi.Topology {
	return &csi.Topology{Segments: map[string]string{TopologyKey: d.opts.Node}}
}

// thaw ends a freeze that a driver killed in the middle of a snapshot could not end.
func (d *Driver) thaw() error {
	volumes, err := d.volumes.List()
	if err != nil {
		return err
	}
	for _, volume := range volumes {
		use, err := d.observe(volume.ID)
		if err != nil {
			return err
		}
		if point, mounted := use.filesystem(); mounted {
			if err := image.Thaw(point); err != nil {
				return err
			}
		}
	}
	return nil
}

// failure turns an error of the layers below into a CSI error.
func failure(verb string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	code := codes.Internal
	if errors.Is(err, store.ErrNotFound) {
		code = codes.NotFound
	}
	return status.Errorf(code, "%s: %v", verb, err)
}

// locks refuses a second call for an object while the first still works on it; CSI calls that
// Aborted, and sidecars try again.
type locks struct {
	mu   sync.Mutex
	held map[string]time.Time
}

func (l *locks) take(id string) (release func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if since, held := l.held[id]; held {
		return nil, status.Errorf(
			codes.Aborted,
			"another call works on %s since %s; try again",
			id,
			since.Format(time.RFC3339Nano),
		)
	}
	if l.held == nil {
		l.held = map[string]time.Time{}
	}
	l.held[id] = time.Now()
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.held, id)
	}, nil
}
