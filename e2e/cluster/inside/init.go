// SPDX-License-Identifier: Apache-2.0

// Package inside is the first process of a node's namespaces: it gives the node
// its own view of files and network, starts every component, says when the node
// is ready, and buries orphans until it is killed, which ends everything it
// started. It does not restart what fails: a test must see that.
package inside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// startDeadline is some sixty times what an idle two-core machine needs: one
// that builds other things meanwhile can be that slow.
const startDeadline = 5 * time.Minute

// node is a start under way.
type node struct {
	spec  rundir.Spec
	super *supervisor
	api   *api
	ended chan error // a component that ended, which none should
}

// Run never returns while all is well. It writes one line to ready: "ready", or
// what went wrong.
func Run(dir rundir.Dir, ready io.WriteCloser) error {
	err := run(dir, func() error {
		_, err := io.WriteString(ready, "ready\n")
		return errors.Join(err, ready.Close())
	})
	_, _ = io.WriteString(ready, err.Error()) // closed when ready was said; then the log has it
	return err
}

func run(dir rundir.Dir, ready func() error) error {
	spec, err := dir.ReadSpec()
	if err != nil {
		return fmt.Errorf("read what to run: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startDeadline)
	defer cancel()
	n := &node{spec: spec, super: newSupervisor(dir, environment(spec)), ended: make(chan error, 1)}
	if err := n.prepare(ctx); err != nil {
		return err
	}
	if err := n.start(ctx); err != nil {
		return err
	}
	if err := ready(); err != nil {
		return fmt.Errorf("say that the node is ready: %w", err)
	}
	for err := range n.ended { // a node missing a component stays up for whoever looks into it
		slog.Error("A component ended", "error", err)
	}
	return nil
}

func (n *node) prepare(ctx context.Context) error {
	go n.super.reap(context.WithoutCancel(ctx))
	if err := mountAll(n.spec); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	if err := connect(ctx, n.super, n.spec); err != nil {
		return err
	}
	if err := makeCgroups(n.spec.Dir.CgroupRoot()); err != nil {
		return err
	}
	if err := writeFiles(n.spec); err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	var err error
	n.api, err = newAPI(n.spec)
	return err
}

// start launches the components, each as soon as what it cannot live without
// answers.
func (n *node) start(ctx context.Context) error {
	for _, stage := range [][]string{stages.storage, stages.api} {
		if err := n.launch(stage); err != nil {
			return err
		}
	}
	images := make(chan error, 1)
	go func() { images <- n.loadImages(ctx) }()
	if err := n.await(ctx, "kube-apiserver", n.api.ready); err != nil {
		return err
	}
	if err := n.createObjects(ctx); err != nil {
		return err
	}
	if wanted(n.spec, "containerd") {
		if err := n.await(ctx, "containerd", containerdReady); err != nil {
			return err
		}
	}
	if err := n.launch(stages.node); err != nil {
		return err
	}
	if err := n.awaitNode(ctx); err != nil {
		return err
	}
	if err := <-images; err != nil {
		return fmt.Errorf("load images: %w", err)
	}
	return nil
}

// awaitNode waits until a pod of any kind would run.
func (n *node) awaitNode(ctx context.Context) error {
	checks := []struct {
		component string
		ask       func(context.Context) error
	}{
		{"kubelet", n.api.nodeReady},
		{"kube-controller-manager", n.api.accountReady},
		{"coredns", dnsReady},
		{"csi", n.api.driverRegistered},
	}
	for _, c := range checks {
		if !wanted(n.spec, c.component) {
			continue
		}
		if err := n.await(ctx, c.component, c.ask); err != nil {
			return err
		}
	}
	return nil
}
