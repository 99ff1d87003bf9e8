// SPDX-License-Identifier: Apache-2.0

// Package daemon is the process that stands outside of a node: it starts the
// node's init in new namespaces, forwards one loopback port to the API server,
// and removes everything when it is told to end, or when init dies. Nothing of
// Kubernetes runs in it.
package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/e2e/cluster/leftovers"
	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// cleanDeadline bounds the removal of cgroups and loop devices; writing back a
// full volume on a slow disk is what takes longest.
const cleanDeadline = time.Minute

// Files that the daemon inherits, by number.
const (
	ReadyFD    = 3 // where it says "ready" or what went wrong
	LifelineFD = 4 // ends when the caller does; only if it is attached
)

// Serve runs the node until a signal, the end of the caller it is attached to,
// or the node's own end.
func Serve(dir rundir.Dir) error {
	// Inherited files would be inherited again, and a pipe only ends when its
	// last holder does.
	unix.CloseOnExec(ReadyFD)
	unix.CloseOnExec(LifelineFD)
	ready := os.NewFile(ReadyFD, "ready")
	err := serve(dir, ready)
	if err != nil {
		_, _ = ready.WriteString(err.Error()) // fails once ready was said; the caller logs it
	}
	return err
}

func serve(dir rundir.Dir, ready io.WriteCloser) error {
	// Init dies with the thread that cloned it, so this thread must last.
	runtime.LockOSThread()
	spec, err := dir.ReadSpec()
	if err != nil {
		return fmt.Errorf("read what to run: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // It never waits: there is no name to look up.
	if err != nil {
		return fmt.Errorf("open a port for the API server: %w", err)
	}
	defer func() { _ = listener.Close() }()
	spec.Port = listener.Addr().(*net.TCPAddr).Port
	if err := dir.WriteSpec(spec); err != nil {
		return fmt.Errorf("write the port: %w", err)
	}
	end := endings(spec)
	init, said, err := startInit(dir)
	if err != nil {
		return fmt.Errorf("start the node: %w", err)
	}
	go forward(listener, init.Process.Pid, spec.Port)
	err = watch(dir, spec, &running{init: init, said: said, end: end, ready: ready})
	return errors.Join(err, stop(init, dir))
}

// running is a node that was started.
type running struct {
	init  *exec.Cmd
	said  io.ReadCloser // what init says when it is ready
	end   <-chan string // why to end
	ready io.WriteCloser
}

// watch passes on that the node is ready, and returns when it is to end.
func watch(dir rundir.Dir, spec rundir.Spec, r *running) error {
	line := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(bufio.NewReader(r.said)) // ends when init closes it or dies
		line <- string(text)
	}()
	select {
	case why := <-r.end:
		return fmt.Errorf("ended during its start: %s", why)
	case text := <-line:
		if text != "ready\n" {
			return errors.New("the node did not start: " + text)
		}
	}
	if err := publish(dir, spec, r.init.Process.Pid); err != nil {
		return err
	}
	_, err := io.WriteString(r.ready, "ready\n")
	if err := errors.Join(err, r.ready.Close()); err != nil {
		return fmt.Errorf("say that the node is ready: %w", err)
	}
	died := make(chan string, 1)
	go func() { died <- "init ended: " + fmt.Sprint(r.init.Wait()) }()
	select {
	case why := <-r.end:
		slog.Info("Ending", "why", why)
		return nil
	case why := <-died:
		return errors.New(why)
	}
}

func publish(dir rundir.Dir, spec rundir.Spec, pid int) error {
	self, err := rundir.Identify(os.Getpid())
	if err != nil {
		return fmt.Errorf("identify the daemon: %w", err)
	}
	init, err := rundir.Identify(pid)
	if err != nil {
		return fmt.Errorf("identify init: %w", err)
	}
	return dir.WriteState(rundir.State{Daemon: self, Init: init, Port: spec.Port, Token: spec.Token})
}

// startInit starts this program again in new namespaces.
func startInit(dir rundir.Dir) (*exec.Cmd, io.ReadCloser, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = write.Close() }()
	log, err := os.OpenFile(dir.Log("init"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = log.Close() }()
	//nolint:noctx // It ends by stop, in the right order.
	cmd := exec.Command("/proc/self/exe", "init", "--dir", string(dir))
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{write}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	err = cmd.Start()
	return cmd, read, err
}

// stop kills init, and with it every process, mount and address of the node,
// then removes what the kernel does not.
func stop(init *exec.Cmd, dir rundir.Dir) error {
	killed := init.Process.Kill()
	if errors.Is(killed, os.ErrProcessDone) {
		killed = nil
	}
	_, waited := init.Process.Wait()
	if errors.Is(waited, os.ErrProcessDone) || errors.Is(waited, syscall.ECHILD) {
		waited = nil // watch has waited already
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanDeadline)
	defer cancel()
	return errors.Join(killed, waited, leftovers.Remove(ctx, string(dir), dir.CgroupRoot()))
}

// endings delivers the reason to end.
func endings(spec rundir.Spec) <-chan string {
	why := make(chan string, 2)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	go func() { why <- "signal " + (<-signals).String() }()
	if spec.Attached {
		lifeline := os.NewFile(LifelineFD, "lifeline")
		go func() {
			_, _ = io.Copy(io.Discard, lifeline)
			why <- "its starter ended"
		}()
	}
	return why
}
