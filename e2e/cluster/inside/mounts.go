// SPDX-License-Identifier: Apache-2.0

package inside

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// privateTrees are the directories in which programs of a node write by fixed
// paths. Inside, each is an overlay whose changes vanish with the node.
var privateTrees = []string{"/etc", "/var"}

// kernelTunables are what the kubelet sets for the whole machine. It leaves one
// alone that already reads as it wishes, so inside they do.
var kernelTunables = map[string]string{
	"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
	"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
}

// mountAll gives the node its own view of the machine's files. The caller is in
// new mount and process namespaces.
func mountAll(spec rundir.Spec) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	kept, err := keep(append([]string{string(spec.Dir)}, spec.KeepBinds...))
	if err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Mount("run", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	for _, tree := range privateTrees {
		if err := overlay(tree); err != nil {
			return fmt.Errorf("mount an overlay on %s: %w", tree, err)
		}
	}
	if err := restore(kept); err != nil {
		return err
	}
	if err := bindData(spec.Dir); err != nil {
		return err
	}
	if err := maskTunables(); err != nil {
		return fmt.Errorf("shield the kernel's settings: %w", err)
	}
	// Shared among the node's own processes: volumes must reach running pods.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts inside: %w", err)
	}
	return nil
}

func overlay(tree string) error {
	upper, work := filepath.Join("/run/private", tree, "upper"), filepath.Join("/run/private", tree, "work")
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return unix.Mount("overlay", tree, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", tree, upper, work))
}

// keep opens directories that the private trees would hide or copy.
func keep(paths []string) (map[string]*os.File, error) {
	out := map[string]*os.File{}
	for _, path := range paths {
		if !hidden(path) {
			continue
		}
		f, err := os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
		out[path] = f
	}
	return out, nil
}

func hidden(path string) bool {
	for _, tree := range append([]string{"/run"}, privateTrees...) {
		if strings.HasPrefix(path, tree+"/") {
			return true
		}
	}
	return false
}

// restore puts the kept directories back in their places.
func restore(kept map[string]*os.File) error {
	for path, f := range kept {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return fmt.Errorf("restore %s: %w", path, err)
		}
		if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), path, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("restore %s: %w", path, err)
		}
		if err := f.Close(); err != nil {
			return fmt.Errorf("restore %s: %w", path, err)
		}
	}
	return nil
}

// bindData puts what is big, or worth reading after a failure, on the run
// directory's disk.
func bindData(dir rundir.Dir) error {
	for target, source := range map[string]string{
		"/var/lib/kubelet": dir.Data("kubelet"), "/var/lib/containerd": dir.Data("containerd"),
		"/var/lib/etcd": dir.Data("etcd"), "/var/log/pods": dir.PodLogs(),
	} {
		for _, d := range []string{source, target} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return fmt.Errorf("create %s: %w", d, err)
			}
		}
		if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", target, err)
		}
	}
	return nil
}

func maskTunables() error {
	for name, value := range kernelTunables {
		file := filepath.Join("/run/private/sysctl", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(file, filepath.Join("/proc/sys", name), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cover /proc/sys/%s: %w", name, err)
		}
	}
	return nil
}
