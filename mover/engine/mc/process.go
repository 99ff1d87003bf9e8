// SPDX-License-Identifier: Apache-2.0

package mc

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// stderrLimit bounds what is kept of mc's complaints; the last ones matter.
const stderrLimit = 16 << 10

// run runs mc with freshly resolved credentials and gives its output to
// read. It returns read's error, or the reason why mc was killed, or what mc
// printed on stderr when it did not end well. The exit code itself is no
// evidence of anything and only makes a silent death visible.
func (c *Client) run(ctx context.Context, args []string, read func(io.Reader) error) error {
	if err := c.refresh(ctx); err != nil {
		return err
	}
	ctx, kill := context.WithCancelCause(ctx)
	defer kill(nil)
	var stderr tail
	cmd := exec.CommandContext(ctx, c.setup.Binary, c.arguments(args)...) // #nosec G204 -- arguments, no shell.
	cmd.Env = c.environment()
	cmd.Dir = c.setup.Scratch
	cmd.Stderr = &stderr
	// mc dies with its wrapper: a second attempt must never meet the first one's mc.
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL, Setpgid: true}
	cmd.WaitDelay = time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("run mc: %w", err)
	}
	var readErr error
	waitErr := runLocked(cmd, func() {
		enlarge(stdout)
		stop := c.watchStall(ctx, cmd.Process.Pid, kill)
		defer stop()
		readErr = read(stdout)
		if readErr != nil {
			kill(readErr)
		}
		_, _ = io.Copy(io.Discard, stdout) // A full pipe would keep mc from ending.
	})
	return c.outcome(ctx, readErr, waitErr, stderr.String())
}

// enlarge makes a pipe as large as an ordinary user may, so that mc and this
// process take fewer turns. It is no loss when that is refused.
func enlarge(pipe io.Reader) {
	const size = 1 << 20
	if f, ok := pipe.(syscall.Conn); ok {
		if c, err := f.SyscallConn(); err == nil {
			_ = c.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, size) })
		}
	}
}

// outcome picks the error that says most: why mc was killed, what mc itself
// said when its output ended early, what the reader found.
func (c *Client) outcome(ctx context.Context, readErr, waitErr error, stderr string) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, readErr) {
		return cause
	}
	said := parseText(c.setup.Source.Scrub(stderr)) // mc prints no secret; this keeps it so.
	switch {
	case said != nil && (readErr == nil && waitErr != nil || errors.Is(readErr, ErrShort)):
		return said
	case readErr != nil && !errors.Is(readErr, ErrShort):
		return readErr
	}
	return cmp.Or(death(waitErr), readErr)
}

// death explains how a process ended that said nothing.
func death(err error) error {
	var exit *exec.ExitError
	var status syscall.WaitStatus
	if errors.As(err, &exit) {
		status, _ = exit.Sys().(syscall.WaitStatus)
	}
	switch {
	case err == nil:
		return nil
	case status.Signaled() && status.Signal() == unix.SIGKILL:
		return fault.New(
			wire.TransferFailed,
			"mc was killed, most likely because memory ran out; raise spec.mover.resources.limits.memory "+
				"or lower spec.transfer.parallelism",
		).Because(
			err,
		)
	case exit == nil &&
		(errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENOEXEC)):
		return fault.New(wire.MoverBroken, "mc cannot be started: %v; the mover's image is broken", err).Because(err)
	}
	return fmt.Errorf("run mc: %w", err)
}

// runLocked starts a command, runs during while it lives, and waits for it.
// The parent-death signal is sent when the thread that started the process
// ends, so the goroutine must keep its thread until then.
func runLocked(cmd *exec.Cmd, during func()) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			done <- err
			return
		}
		during()
		err := cmd.Wait()
		endGroup(cmd.Process.Pid)
		done <- err
	}()
	return <-done
}

// endGroup ends and buries what a process left behind in its group. As PID 1
// of a container this process inherits it; elsewhere there is nothing to wait for.
func endGroup(pid int) {
	_ = unix.Kill(-pid, unix.SIGKILL)
	for {
		if _, err := unix.Wait4(-pid, nil, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// crawl is the rate in bytes per second below which mc counts as idle: its runtime wakes
// itself through a file descriptor now and then, some 30 bytes a second.
const crawl = 256

// watchStall kills mc when it neither reads nor writes for idleTimeout. The
// kernel counts its bytes, on sockets too, so a slow listing is not a stall.
func (c *Client) watchStall(ctx context.Context, pid int, kill context.CancelCauseFunc) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	every := c.setup.IdleTimeout / 4
	enough := int64(crawl * every.Seconds())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		idle, before := 0, int64(0)
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			moved, err := bytesMoved(pid)
			if err != nil || moved-before > enough {
				idle, before = 0, moved
				continue
			}
			before = moved
			idle++
			if idle >= 4 {
				kill(fmt.Errorf("%w for %s", fault.ErrStalled, c.setup.IdleTimeout))
				return
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// bytesMoved is what a process has read and written so far, by rchar and wchar of
// /proc/PID/io.
func bytesMoved(pid int) (total int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, fmt.Errorf("read what mc has moved: %w", err)
	}
	var read, written int64
	if _, err := fmt.Sscanf(string(text), "rchar: %d\nwchar: %d\n", &read, &written); err != nil {
		return 0, fmt.Errorf("read what mc has moved: %w", err)
	}
	return read + written, nil
}

// tail keeps the end of what is written to it.
type tail struct{ buffer bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.buffer.Write(p)
	if over := t.buffer.Len() - stderrLimit; over > 0 {
		t.buffer.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string { return t.buffer.String() }
