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
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// startDeadline is about twelve times what an idle two-core machine needs, for
// machines that build something else meanwhile.
const startDeadline = 2 * time.Minute

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
	if err := n.await(ctx, "containerd", containerdReady); err != nil {
		return err
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

// launch starts the components of a stage and watches that none ends.
func (n *node) launch(names []string) error {
	for _, name := range names {
		if !wanted(n.spec, name) {
			continue
		}
		done, err := n.super.launch(command(n.spec, name))
		if err != nil {
			return err
		}
		go func() {
			n.ended <- fmt.Errorf("%s ended (%s)\n%s", name, describe(<-done), logTail(n.spec.Dir, name))
		}()
	}
	return nil
}

// await asks until the answer is no error, a component ends or time is up.
func (n *node) await(ctx context.Context, component string, ask func(context.Context) error) error {
	const poll = 20 * time.Millisecond // short against the seconds a start takes, long against a request
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case ended := <-n.ended:
			return ended
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s: %w\n%s", component, startDeadline, err, logTail(n.spec.Dir, component))
		case <-ticker.C:
		}
	}
}

func describe(status unix.WaitStatus) string {
	if status.Signaled() {
		return "signal " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// logTail names a component's log and shows its last lines.
func logTail(dir rundir.Dir, component string) string {
	const lines = 15
	data, _ := os.ReadFile(dir.Log(component))
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return dir.Log(component) + " ends with:\n" + strings.Join(all[max(0, len(all)-lines):], "\n")
}

// environment is what components see. Their temporary files belong to the run,
// and the binaries we built come before the system's.
func environment(spec rundir.Spec) []string {
	dirs := map[string]bool{}
	path := ""
	for _, binary := range spec.Binaries {
		if d := filepath.Dir(binary); !dirs[d] {
			dirs[d] = true
			path += d + ":"
		}
	}
	return []string{
		"PATH=" + path + "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		"TMPDIR=" + spec.Dir.Temp(), "KUBECONFIG=" + spec.Dir.Kubeconfig(),
	}
}
