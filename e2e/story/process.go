// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// processes finds the processes of a pod by their command's name, as this machine sees
// them: through the cgroup that carries the pod's UID.
func processes(pod types.UID, command string) ([]rundir.Process, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var found []rundir.Process
	for _, dir := range dirs {
		comm, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil || strings.TrimSpace(string(comm)) != command {
			continue // it has ended, or is another
		}
		if !ofPod(dir, pod) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			return nil, fmt.Errorf("parse %s: %w", dir, err)
		}
		if p, err := rundir.Identify(pid); err == nil {
			found = append(found, p)
		}
	}
	return found, nil
}

// ofPod tells that a process is, or was until now, one of a pod.
func ofPod(dir string, pod types.UID) bool {
	groups, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	return err == nil && bytes.Contains(groups, []byte("/pod"+string(pod)+"/"))
}

// Kill ends a process of a pod as the kernel would when memory runs out: at once.
func (s *Story) Kill(pod types.UID, command string) {
	s.T.Helper()
	found, err := processes(pod, command)
	if err == nil && len(found) == 0 {
		err = errors.New("there is none")
	}
	for _, p := range found {
		err = errors.Join(err, p.Signal(unix.SIGKILL))
	}
	s.must("kill "+command, err)
}

// Running tells that a process of that name runs in a pod.
func (s *Story) Running(pod types.UID, command string) bool {
	s.T.Helper()
	found, err := processes(pod, command)
	s.must("look for "+command, err)
	return len(found) > 0
}
