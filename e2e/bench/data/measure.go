// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what one run of a tool took.
type usage struct {
	Wall float64 `json:"wall"` // In seconds, from the start until the target is synced.
	CPU  float64 `json:"cpu"`  // In seconds, of the tool and all processes that it waited for.
	RSS  float64 `json:"rss"`  // In MB of 10^6 bytes: the peak of all its processes together.
}

// sampleEvery is short beside the shortest run, and costs less than 1 % of one core.
const sampleEvery = 20 * time.Millisecond

// measure runs a command to its end and syncs the file system of target, unless that is empty.
func measure(ctx context.Context, cmd *exec.Cmd, target string) (usage, error) {
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return usage{}, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
	defer stop()
	peak := make(chan int64, 1)
	go func() { peak <- watchMemory(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	if err == nil && target != "" {
		err = syncFileSystem(target)
	}
	u := usage{Wall: time.Since(began).Seconds()}
	close(ended)
	u.RSS = float64(<-peak) / 1e6
	u.CPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if ctx.Err() != nil {
		return u, fmt.Errorf("%s was ended: %w", filepath.Base(cmd.Path), context.Cause(ctx))
	}
	if err != nil {
		return u, fmt.Errorf("%s: %w; it printed:\n%s", filepath.Base(cmd.Path), err, lastOf(output.String(), 2000))
	}
	return u, nil
}

func lastOf(text string, limit int) string { return text[max(0, len(text)-limit):] }

func syncFileSystem(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// watchMemory returns the largest sum, in bytes, of the resident memory of a process and all
// below it. The kernel's own figure in rusage cannot be used: it begins with what the
// process that forked had.
func watchMemory(pid int, ended <-chan struct{}) (peak int64) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		peak = max(peak, residentTree(pid), statusBytes(pid, "VmHWM:"))
		select {
		case <-ended:
			return peak
		case <-ticker.C:
		}
	}
}

func residentTree(pid int) int64 {
	sum := statusBytes(pid, "VmRSS:")
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list) // It may have ended.
		for child := range strings.FieldsSeq(string(text)) {
			if n, err := strconv.Atoi(child); err == nil {
				sum += residentTree(n)
			}
		}
	}
	return sum
}

// statusBytes is a line of /proc/PID/status; 0 when the process has ended.
func statusBytes(pid int, field string) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(text), field)
	words := strings.Fields(rest)
	if len(words) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(words[0], 10, 64)
	return kib << 10
}
