// SPDX-License-Identifier: Apache-2.0

// Package faultinjection holds tests that break the network, the server and the mover itself, with
// every engine that the mover has: an attempt ends with the right class, and no wrong byte
// is ever reported as done.
package faultinjection

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover"
	"github.com/s3populator/s3populator/mover/wire"
)

// engines that the tests run with.
var engines = []string{wire.EngineMC, wire.EngineNative}

// withEngines runs a test once for each engine.
func withEngines(t *testing.T, test func(t *testing.T, engine string)) {
	t.Helper()
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, engine)
		})
	}
}

// TestEnginesAreKnown asks as the command does: what it refuses it does not run.
func TestEnginesAreKnown(t *testing.T) {
	t.Parallel()
	for _, engine := range append(engines, "Teleport") {
		r := wire.Request{
			Operation: wire.Inventory, Source: wire.Source{Bucket: "b"}, Transfer: wire.Transfer{Engine: engine},
		}
		text, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wire.ParseRequest(text); (err == nil) != (engine != "Teleport") {
			t.Errorf("%s: %v", engine, err)
		}
	}
}

// childVariable makes the test binary behave as a mover: its value is a child.
const childVariable = "FAULTS_TEST_CHILD"

// child is a mover in a process of its own, so that a test can kill it.
type child struct {
	Request         wire.Request
	Paths           mover.Paths
	MC              string
	CheckpointEvery time.Duration
	ReportFile      string
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		os.Exit(beMover(text))
	}
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", atOnce) // The flag exists.
	}
	os.Exit(testenv.OwnMounts(m))
}

// atOnce is more tests than two cores can run, because most of a test is waiting.
const atOnce = "8"

func beMover(text string) int {
	var c child
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	_ = os.Unsetenv(childVariable)
	r := mover.Run(childContext(), c.Request, mover.Options{
		Paths: c.Paths, MC: c.MC, PodUID: "killed-pod", Log: os.Stderr,
		Getenv: func(string) string { return "" }, CheckpointEvery: c.CheckpointEvery,
	})
	if err := os.WriteFile(c.ReportFile, r.Encode(), 0o600); err != nil {
		return 98
	}
	return r.Class.ExitCode()
}

// childContext is of a process that has no test.
func childContext() context.Context { return context.Background() } //nolint:forbidigo // There is no caller.

// spawn starts a mover as a process.
func (a *attempt) spawn(report string) *exec.Cmd {
	a.t.Helper()
	text, err := json.Marshal(child{
		Request: a.request, Paths: a.options.Paths, MC: a.options.MC,
		CheckpointEvery: a.options.CheckpointEvery, ReportFile: report,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	// Names are asked for as in the image, which has no library that would do so.
	cmd.Env = []string{childVariable + "=" + string(text), "GODEBUG=netdns=go"}
	a.begin(cmd)
	return cmd
}

// begin starts a process, whose group the end of the test kills.
func (a *attempt) begin(cmd *exec.Cmd) {
	a.t.Helper()
	cmd.Stderr = &a.log
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { killGroup(cmd) })
}

// killGroup is what the end of a container does to all processes in it.
func killGroup(cmd *exec.Cmd) {
	_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	_ = cmd.Wait()
}
