// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
)

// environment puts into the figures where they come from: the commit, with "+" when files
// differ from it, the machine and how busy it was.
func environment(ctx context.Context, f figures) error {
	source, err := toolchain.SourceRoot()
	if err != nil {
		return err
	}
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", source}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	commit, err := git("rev-parse", "--short=12", "HEAD")
	if err != nil {
		return fmt.Errorf("ask git for the commit: %w", err)
	}
	changed, err := git("status", "--porcelain", "--untracked-files=no")
	if err != nil {
		return fmt.Errorf("ask git what is changed: %w", err)
	}
	if changed != "" {
		commit += "+"
	}
	f["commit"], f["cores"], f["go"], f["arch"] = commit, runtime.NumCPU(), runtime.Version(), runtime.GOARCH
	f["load_at_start"], err = load()
	return err
}

// load is how many processes wanted a processor in the last minute.
func load() (float64, error) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, fmt.Errorf("read the load: %w", err)
	}
	first, _, _ := strings.Cut(string(text), " ")
	n, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0, fmt.Errorf("read the load: %w", err)
	}
	return n, nil
}

// node tells how the node was configured.
func (b *bench) node(l limits) (map[string]any, error) {
	version, err := b.world.Kube.Discovery().ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("ask for the version: %w", err)
	}
	return map[string]any{
		"kubernetes": version.GitVersion, "limits": l.name, "fsync": l.name == defaults.name, "args": l.args,
		"binder_sync_s": 15, "max_movers": 2 * full.many,
	}, nil
}
