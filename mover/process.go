// SPDX-License-Identifier: Apache-2.0

package mover

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
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/wire"
)

// stderrLimit bounds what is kept of mc's complaints; the last ones matter.
const stderrLimit = 16 << 10

// runMC runs mc with freshly resolved credentials and gives its output to
// read. It returns read's error, or the reason why mc was killed, or what mc
// printed on stderr when it did not end well. The exit code itself is no
// evidence of anything and only makes a silent death visible.
func (m *mover) runMC(ctx context.Context, args []string, read func(io.Reader) error) error {
	if err := m.refreshMC(ctx); err != nil {
		return err
	}
	ctx, kill := context.WithCancelCause(ctx)
	defer kill(nil)
	var stderr tail
	cmd := exec.CommandContext(ctx, m.options.MC, m.mcArguments(args)...) // #nosec G204 -- arguments, no shell.
	cmd.Env = m.mcEnvironment()
	cmd.Dir = m.options.Paths.Scratch
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
		stop := m.watchStall(ctx, cmd.Process.Pid, kill)
		defer stop()
		readErr = read(stdout)
		if readErr != nil {
			kill(readErr)
		}
		_, _ = io.Copy(io.Discard, stdout) // A full pipe would keep mc from ending.
	})
	return m.mcOutcome(ctx, readErr, waitErr, stderr.String())
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

// mcOutcome picks the error that says most: why mc was killed, what mc itself
// said when its output ended early, what the reader found.
func (m *mover) mcOutcome(ctx context.Context, readErr, waitErr error, stderr string) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, readErr) {
		return cause
	}
	said := parseMCText(m.scrub(stderr))
	switch {
	case said != nil && (readErr == nil && waitErr != nil || errors.Is(readErr, errShort)):
		return said
	case readErr != nil && !errors.Is(readErr, errShort):
		return readErr
	}
	return cmp.Or(mcDeath(waitErr), readErr)
}

// mcDeath explains how a process ended that said nothing.
func mcDeath(err error) error {
	var exit *exec.ExitError
	var status syscall.WaitStatus
	if errors.As(err, &exit) {
		status, _ = exit.Sys().(syscall.WaitStatus)
	}
	switch {
	case err == nil:
		return nil
	case status.Signaled() && status.Signal() == unix.SIGKILL:
		return fault.New(wire.TransferFailed, "mc was killed, most likely because memory ran out; raise spec.mover.resources.limits.memory "+
			"or lower spec.transfer.parallelism").Because(err)
	case exit == nil && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENOEXEC)):
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

// refreshMC renders mc's configuration for the next run, with the credentials of
// this moment and whatever may have happened to the file since.
func (m *mover) refreshMC(ctx context.Context) error {
	id, err := m.source.Identities.Get(ctx)
	if err != nil {
		return err
	}
	m.mcMutex.Lock()
	defer m.mcMutex.Unlock()
	if !m.mcReady {
		if err := m.writeMCRoots(); err != nil {
			return err
		}
	}
	m.mcRenewed = m.mcRenewed || m.mcReady && !id.Equal(m.mcIdentity)
	m.mcReady, m.mcIdentity = true, id
	return m.writeMCConfig(id)
}

// forgetRenewal begins a round.
func (m *mover) forgetRenewal() {
	m.mcMutex.Lock()
	defer m.mcMutex.Unlock()
	m.mcRenewed = false
}

// expire gives up the keys that mc was told are expired.
func (m *mover) expire() {
	m.mcMutex.Lock()
	key := m.mcIdentity.AccessKey
	m.mcMutex.Unlock()
	m.source.Identities.Expire(key)
}

// renewed reports whether the keys changed since the round began. Each mc keeps those that it
// began with until it ends, and says of any 403 that permissions are insufficient.
func (m *mover) renewed(ctx context.Context) bool {
	id, err := m.source.Identities.Get(ctx)
	m.mcMutex.Lock()
	defer m.mcMutex.Unlock()
	return m.mcRenewed || err == nil && m.mcReady && !id.Equal(m.mcIdentity)
}

// mcArguments adds what every run needs. No secret is among them.
func (m *mover) mcArguments(args []string) []string {
	all := []string{args[0]}
	if m.request.TLS.InsecureSkipVerify {
		all = append(all, "--insecure")
	}
	return append(all, args[1:]...)
}

// crawl is the rate in bytes per second below which mc counts as idle: its runtime wakes
// itself through a file descriptor now and then, some 30 bytes a second.
const crawl = 256

// watchStall kills mc when it neither reads nor writes for idleTimeout. The
// kernel counts its bytes, on sockets too, so a slow listing is not a stall.
func (m *mover) watchStall(ctx context.Context, pid int, kill context.CancelCauseFunc) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	every := m.options.IdleTimeout / 4
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
				kill(fmt.Errorf("%w for %s", fault.ErrStalled, m.options.IdleTimeout))
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

// scrub removes the secrets of this run from a text of mc's. mc does not print
// them; this keeps it so.
func (m *mover) scrub(text string) string {
	m.mcMutex.Lock()
	defer m.mcMutex.Unlock()
	for _, s := range []source.Secret{m.mcIdentity.SecretKey, m.mcIdentity.SessionToken} {
		if v := s.Reveal(); v != "" {
			text = strings.ReplaceAll(text, v, source.Redacted)
		}
	}
	return text
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
