// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// systemFile is a file of the system and the Debian package that brings it.
type systemFile struct {
	path    string // a program's name to look up, or an absolute path
	debian  string
	purpose string
}

// systemFiles are what the node needs beside the tools we build: each is either
// not Go, or not to be had as a Go module.
var systemFiles = []systemFile{
	{"runc", "runc", "starts containers"},
	{"/usr/lib/cni/ptp", "containernetworking-plugins", "connects pods"},
	{"nft", "nftables", "kube-proxy's rules"},
	{"ip", "iproute2", "addresses of the node"},
	{"nsenter", "util-linux", "enters the node"},
	{"mount", "mount", "volumes"},
	{"mkfs.ext4", "e2fsprogs", "volumes' file systems"},
	{"buildah", "buildah", "images"},
}

// aptLock lets one apt-get run at a time; hack/debian.sh takes it, too.
const aptLock = "/run/lock/s3populator-apt"

// patient has a file that a mirror fails to send asked for again, and whoever else installs something waited for.
var patient = []string{"-o", "Acquire::Retries=5", "-o", "DPkg::Lock::Timeout=600"}

// EnsureSystem installs the Debian packages that the node lacks, naming them
// first. It changes nothing when all are there.
func EnsureSystem(ctx context.Context, log io.Writer) error {
	missing := missingPackages(systemFiles, installed)
	if len(missing) == 0 {
		return nil
	}
	unlock, err := lock(ctx, aptLock)
	if err != nil {
		return fmt.Errorf("install Debian packages: %w", err)
	}
	defer unlock()
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%w; install these yourself: %s", err, strings.Join(missing, " "))
	}
	fmt.Fprintf(log, "installing the Debian packages this machine lacks: %s\n", strings.Join(missing, " "))
	return again(ctx, log, pauses, func() error { return passing(installPackages(ctx, missing)) })
}

// installPackages asks for the lists each time: a mirror that changes meanwhile has other files than they name.
func installPackages(ctx context.Context, missing []string) error {
	install := append([]string{"install", "-y", "--no-install-recommends"}, missing...)
	for _, args := range [][]string{{"update"}, install} {
		cmd := exec.CommandContext(ctx, "apt-get", append(slices.Clip(patient), args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		// Killed in the middle, dpkg would leave packages that nobody can add to before they are configured.
		cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(syscall.SIGTERM) }, time.Minute
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get %s, for %s: %w\n%s", args[0], strings.Join(missing, " "), err, tail(out.String(), 2000))
		}
	}
	return nil
}

// installed looks also where only root's PATH may lead.
func installed(path string) bool {
	for _, candidate := range []string{path, "/usr/sbin/" + path, "/sbin/" + path} {
		if _, err := exec.LookPath(candidate); err == nil {
			return true
		}
	}
	return false
}

// missingPackages lists the packages whose file is not there, each once.
func missingPackages(files []systemFile, exists func(string) bool) []string {
	var out []string
	for _, f := range files {
		if !exists(f.path) && !slices.Contains(out, f.debian) {
			out = append(out, f.debian)
		}
	}
	return out
}
