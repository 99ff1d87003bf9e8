// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/e2e/cluster/leftovers"
	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// machine is what a node could change outside of itself.
type machine struct {
	Settings map[string]string
	Paths    map[string]bool
}

// settings are what a kubelet and kube-proxy set where they are let.
var settings = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
	"net/ipv4/ip_forward", "kernel/hostname",
}

// paths are where these programs write when nobody shields the machine.
var paths = []string{
	"/var/lib/kubelet", "/var/lib/containerd", "/var/lib/cni", "/var/lib/etcd", "/var/log/pods", "/var/log/containers",
	"/run/containerd", "/run/netns", "/run/cni", "/run/xtables.lock", "/etc/cni/net.d/10-node.conflist",
	"/etc/containerd/config.toml",
	"/opt/containerd", "/opt/cni", "/opt/nri", "/usr/libexec/kubernetes", "/var/run/kubernetes",
}

func observe(t *testing.T) machine {
	t.Helper()
	m := machine{Settings: map[string]string{}, Paths: map[string]bool{}}
	for _, name := range settings {
		value, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			t.Fatal(err)
		}
		m.Settings[name] = string(value)
	}
	for _, path := range paths {
		_, err := os.Lstat(path)
		m.Paths[path] = err == nil
	}
	return m
}

// identities of a node, as seen from outside, to look for after its end.
type traces struct {
	dir        string
	namespaces []string // "pid:[4026532421]" and the like
}

// held are the namespaces that a test keeps open, because the kernel gives the
// number of one that has ended to the next, which may be another node's. The
// mount namespace is not among them: it would keep the loop devices of the node,
// by which a process that is left in it is found.
var held = []string{"pid", "net", "uts", "ipc"}

func tracesOf(t *testing.T, dir string) traces {
	t.Helper()
	state, err := rundir.Dir(dir).ReadState()
	if err != nil {
		t.Fatal(err)
	}
	out := traces{dir: dir}
	for _, kind := range append([]string{"mnt"}, held...) {
		path := fmt.Sprintf("/proc/%d/ns/%s", state.Init.PID, kind)
		link, err := os.Readlink(path)
		if err != nil {
			t.Fatal(err)
		}
		own, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		if link == own {
			t.Fatalf("the node shares the machine's %s namespace", kind)
		}
		if !slices.Contains(held, kind) {
			continue
		}
		open, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = open.Close() })
		out.namespaces = append(out.namespaces, link)
	}
	return out
}

// assertGone fails for everything of a node that is still there.
func assertGone(t *testing.T, before machine, tr traces) {
	t.Helper()
	if diff := cmp.Diff(before, observe(t)); diff != "" {
		t.Errorf("the machine has changed (-before +after):\n%s", diff)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), tr.dir) { // others may mount meanwhile, but not from here
		t.Errorf("mounts are left (%v):\n%s", err, mounts)
	}
	left := processesIn(tr)
	// What the kernel was told to kill may take a moment to end, and on a busy machine a while.
	for began := time.Now(); len(left) > 0 && time.Since(began) < time.Minute; {
		time.Sleep(100 * time.Millisecond)
		left = processesIn(tr)
	}
	if len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if loops, err := leftovers.Loops(tr.dir); err != nil || len(loops) > 0 {
		t.Errorf("loop devices are left: %v (%v)", loops, err)
	}
	if cgroups, err := leftovers.Cgroups(rundir.Dir(tr.dir).CgroupRoot()); err != nil || len(cgroups) > 0 {
		t.Errorf("cgroups are left: %v (%v)", cgroups, err)
	}
	if _, err := os.Stat(tr.dir); !os.IsNotExist(err) {
		t.Errorf("the run directory is left: %v", err)
	}
}

// processesIn finds processes in a node's namespaces, or that name its
// directory.
func processesIn(tr traces) []string {
	var out []string
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		if filepath.Base(proc) == strconv.Itoa(os.Getpid()) {
			continue // A thread of ours may have entered the node's network to look at it.
		}
		args, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
		line := strings.ReplaceAll(string(args), "\x00", " ")
		found := strings.Contains(line, tr.dir+"/") || strings.HasSuffix(strings.TrimSpace(line), tr.dir)
		for _, kind := range tr.namespaces {
			name, _, _ := strings.Cut(kind, ":")
			link, _ := os.Readlink(filepath.Join(proc, "ns", name))
			found = found || link == kind
		}
		if found {
			out = append(out, filepath.Base(proc)+" "+line)
		}
	}
	return out
}
