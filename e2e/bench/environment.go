// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
	"github.com/s3populator/s3populator/e2e/story"
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

// node tells how the node is configured, as its processes were started.
func (b *bench) node(ctx context.Context, l limits) (map[string]any, error) {
	version, err := b.world.Kube.Discovery().ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("ask for the version: %w", err)
	}
	d := &appsv1.Deployment{}
	key := client.ObjectKey{Namespace: story.SystemNamespace, Name: story.ManagerName}
	if err := b.world.Client.Get(ctx, key, d); err != nil {
		return nil, fmt.Errorf("read the manager's arguments: %w", err)
	}
	args := map[string][]string{managerProgram: d.Spec.Template.Spec.Containers[0].Args}
	for _, name := range []string{"etcd", "kube-controller-manager", "kube-scheduler", "kubelet", "csi-provisioner"} {
		if args[name], err = pace(name); err != nil {
			return nil, err
		}
	}
	return map[string]any{"kubernetes": version.GitVersion, "limits": l.name, "args": args}, nil
}

// pace is the flags of a running program that hold it back or make it prompt.
func pace(program string) ([]string, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // It has ended.
		}
		args := strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
		if filepath.Base(args[0]) == program {
			return slices.DeleteFunc(args[1:], func(arg string) bool { return !pacing.MatchString(arg) }), nil
		}
	}
	return nil, fmt.Errorf("no process runs %s", program)
}

var pacing = regexp.MustCompile(`^--[a-z-]*(qps|burst|fsync|sync-period|retry-interval|worker|timeout)`)
