// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/e2e/cluster/leftovers"
	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// A daemon that is told to end has a minute for clean-up of its own; one that
// takes longer is killed, and its caller does what it did not.
const downDeadline = 90 * time.Second

// Down ends the node and removes everything of it.
func (n *Node) Down(ctx context.Context) error {
	err := Remove(ctx, string(n.dir), false)
	if n.lifeline != nil {
		err = errors.Join(err, n.lifeline.Close())
		n.lifeline = nil
	}
	return err
}

// Remove ends the node of a run directory, whether it is well, broken or long
// dead, and removes what it left. The logs may stay.
func Remove(ctx context.Context, dir string, keepLogs bool) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("remove the node: %w", err)
	}
	d := rundir.Dir(abs)
	if _, err := d.ReadSpec(); err != nil { // a typing error must not remove a home directory
		return fmt.Errorf("remove the node: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, downDeadline)
	defer cancel()
	if state, err := d.ReadState(); err == nil { // absent when the start failed early
		if err := end(ctx, state); err != nil {
			return fmt.Errorf("end the node: %w", err)
		}
	}
	if err := leftovers.Remove(ctx, abs, d.CgroupRoot()); err != nil {
		return err
	}
	if keepLogs {
		return removeAllBut(abs, filepath.Base(d.Logs()))
	}
	if err := os.RemoveAll(abs); err != nil {
		return fmt.Errorf("remove the run directory: %w", err)
	}
	return nil
}

// end asks the daemon to end, then makes sure.
func end(ctx context.Context, state rundir.State) error {
	if err := state.Daemon.Signal(unix.SIGTERM); err != nil {
		return err
	}
	_ = awaitEnd(ctx, state.Daemon) // at the deadline, force decides
	return errors.Join(state.Daemon.Signal(unix.SIGKILL), state.Init.Signal(unix.SIGKILL))
}

func awaitEnd(ctx context.Context, p rundir.Process) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for p.Alive() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}

// kill ends a daemon that did not get as far as to publish its state. Its init
// dies with it.
func kill(ctx context.Context, pid int) error {
	p, err := rundir.Identify(pid)
	if err != nil {
		return nil // It has ended.
	}
	if err := p.Signal(unix.SIGTERM); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), downDeadline)
	defer cancel()
	return errors.Join(awaitEnd(ctx, p), p.Signal(unix.SIGKILL))
}

func removeAllBut(dir, keep string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("remove the run directory: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if e.Name() != keep {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
