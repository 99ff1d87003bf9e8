// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/s3populator/s3populator/e2e/cluster/image"
	"github.com/s3populator/s3populator/e2e/cluster/node"
	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
	"github.com/s3populator/s3populator/e2e/csi/fault"
)

// images are ours; the node brings the pause image by itself.
var images = []string{"manager", "mover", "probe"}

// Unused components would only cost start and build time where nothing expands or snapshots.
var Unused = []string{"csi-resizer", "csi-snapshotter", "snapshot-controller"}

// findNode connects to a node that is up, with newly built images, or starts one.
func (w *World) findNode(ctx context.Context) error {
	dir := w.options.Dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "s3populator-e2e-"); err != nil {
			return fmt.Errorf("choose a run directory: %w", err)
		}
	}
	if n, err := node.Connect(dir); err == nil {
		w.Node = n
		log, err := os.Stat(filepath.Join(w.logDir(), auditLog))
		if w.audited = err == nil; w.audited {
			w.auditedBefore = log.Size()
		}
		return w.refreshImages(ctx)
	}
	apiServer, err := w.apiServerArgs(dir)
	if err != nil {
		return err
	}
	args := maps.Clone(w.options.Args)
	if args == nil {
		args = map[string][]string{}
	}
	args["kube-apiserver"] = append(apiServer, args["kube-apiserver"]...)
	w.audited = true
	var binderSync time.Duration
	if w.options.Measured {
		binderSync = 15 * time.Second // as in a cluster: each sync is an event on each claim that waits
	}
	w.Node, err = node.Up(ctx, node.Options{
		Dir: dir, Images: images, Attached: !w.options.Keep, Log: w.options.Log, BinderSyncPeriod: binderSync,
		Components: node.Components{Skip: w.options.Skip, Args: args},
	})
	return err
}

func (w *World) refreshImages(ctx context.Context) error {
	for _, target := range images {
		archive, err := image.Build(ctx, target)
		if err != nil {
			return err
		}
		if err := w.Node.LoadImages(ctx, archive); err != nil {
			return err
		}
	}
	return nil
}

// apiServerArgs add to the API server what the stories ask of it: a record of what
// the manager does, and the admission plugin by which some clusters let only those
// set blockOwnerDeletion who may change the owner's finalizers.
func (w *World) apiServerArgs(dir string) ([]string, error) {
	source, err := toolchain.SourceRoot()
	if err != nil {
		return nil, err
	}
	policy := "audit-policy.yaml"
	if w.options.Measured {
		policy = "audit-everybody.yaml"
	}
	return []string{
		"--audit-policy-file=" + filepath.Join(source, "e2e/story/testdata", policy),
		"--audit-log-path=" + filepath.Join(dir, "logs", auditLog),
		"--audit-log-maxsize=" + neverRotated,
		"--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",
	}, nil
}

// imageStamp changes when one of our images does, so that a kept node restarts the
// manager only then.
func imageStamp(ctx context.Context) (string, error) {
	var stamp strings.Builder
	for _, target := range images[:2] {
		archive, err := image.Build(ctx, target) // built already: this only finds it
		if err != nil {
			return "", err
		}
		stamp.WriteString(filepath.Base(archive) + " ")
	}
	return stamp.String(), nil
}

// driverHealthy tells that the CSI driver is registered.
func driverHealthy(ctx context.Context, c *fault.Client) error {
	h, err := c.Health(ctx)
	if err == nil && !h.Registered {
		err = fmt.Errorf("the CSI driver is not registered: %s", h.RegistrationError)
	}
	return err
}
