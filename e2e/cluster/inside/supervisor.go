// SPDX-License-Identifier: Apache-2.0

package inside

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// component is one long-lived process of the node.
type component struct {
	name string
	args []string // args[0] is the binary
}

// supervisor starts processes and, being the first process of its namespace,
// buries every orphan in it. os/exec must not wait for its own children here:
// whoever calls wait first takes the status, so all statuses are read in one
// place and handed on.
type supervisor struct {
	dir rundir.Dir
	env []string

	mu      sync.Mutex
	waiting map[int]chan unix.WaitStatus
}

func newSupervisor(dir rundir.Dir, env []string) *supervisor {
	return &supervisor{dir: dir, env: env, waiting: map[int]chan unix.WaitStatus{}}
}

// reap runs until the context ends. A signal may stand for several children,
// so each drains all there are.
func (s *supervisor) reap(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGCHLD)
	for {
		s.drain()
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
	}
}

func (s *supervisor) drain() {
	s.mu.Lock() // a child that ends at once is registered before it is looked up
	defer s.mu.Unlock()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if c, ours := s.waiting[pid]; ours {
			c <- status
			delete(s.waiting, pid)
		}
	}
}

// start runs a process; its status arrives once on the channel.
func (s *supervisor) start(cmd *exec.Cmd) (<-chan unix.WaitStatus, error) {
	cmd.Env = append(s.env, cmd.Env...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done := make(chan unix.WaitStatus, 1)
	s.waiting[cmd.Process.Pid] = done
	return done, cmd.Process.Release()
}

// run waits for a short command and returns its output in the error.
func (s *supervisor) run(ctx context.Context, stdin string, args ...string) error {
	out, err := os.CreateTemp(s.dir.Temp(), "out-")
	if err != nil {
		return fmt.Errorf("keep the output of %s: %w", args[0], err)
	}
	defer func() { _ = os.Remove(out.Name()) }()
	defer func() { _ = out.Close() }()
	in, err := memoryFile(stdin)
	if err != nil {
		return fmt.Errorf("feed %s: %w", args[0], err)
	}
	defer func() { _ = in.Close() }()
	//nolint:noctx // Its Wait belongs to reap; the caller gives up on it below.
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, out // files: os/exec starts no goroutine that would need Wait
	done, err := s.start(cmd)
	if err != nil {
		return fmt.Errorf("start %s: %w", args[0], err)
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", strings.Join(args, " "), ctx.Err())
	case status := <-done:
		if status.ExitStatus() == 0 {
			return nil
		}
	}
	text, _ := os.ReadFile(out.Name())
	return fmt.Errorf("%s: %s", strings.Join(args, " "), strings.TrimSpace(string(text)))
}

// launch runs a component with its own log.
func (s *supervisor) launch(c component) (<-chan unix.WaitStatus, error) {
	log, err := os.OpenFile(s.dir.Log(c.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", c.name, err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(c.args[0], c.args[1:]...) //nolint:noctx // A component lives as long as the node.
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = string(s.dir)
	done, err := s.start(cmd)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	return done, nil
}

// memoryFile is a file with this content that is on no disk.
func memoryFile(content string) (*os.File, error) {
	fd, err := unix.MemfdCreate("stdin", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "stdin")
	if _, err := f.WriteAt([]byte(content), 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
