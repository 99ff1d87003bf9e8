// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/wire"
)

// childVariable makes the test binary behave as a mover: its value is a child.
const childVariable = "MOVER_TEST_CHILD"

// child is a mover in a process of its own, so that a test can kill it.
type child struct {
	Request         wire.Request
	Paths           Paths
	MC              string
	PodUID          string
	Shard           string
	CheckpointEvery time.Duration
	Memory          int64
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		os.Exit(beMover(text))
	}
	syncFor = time.Minute // Whether a device takes longer is not what tests of others are about.
	os.Exit(testenv.OwnMounts(m))
}

func beMover(text string) int {
	var c child
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	_ = os.Unsetenv(childVariable)
	o := Options{
		Paths:           c.Paths,
		MC:              c.MC,
		PodUID:          c.PodUID,
		Getenv:          shardVariable(c.Shard),
		Log:             os.Stderr,
		CheckpointEvery: c.CheckpointEvery,
		Memory:          c.Memory,
	}
	r := Run(testContext(), c.Request, o)
	fmt.Fprintln(os.Stdout, string(r.Encode()))
	return r.Class.ExitCode()
}

// command is the bench's mover as a process.
func (b *bench) command() *exec.Cmd {
	b.t.Helper()
	text, err := json.Marshal(
		child{
			Request:         b.request,
			Paths:           b.paths,
			MC:              b.options.MC,
			PodUID:          "killed-pod",
			Shard:           b.options.Getenv(wire.ShardVariable),
			CheckpointEvery: b.options.CheckpointEvery,
			Memory:          b.options.Memory,
		},
	)
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{childVariable + "=" + string(text)}
	cmd.Stderr, cmd.Stdout = &b.log, &b.log
	return cmd
}

// spawn starts it; the test's end kills it.
func (b *bench) spawn() *exec.Cmd {
	b.t.Helper()
	cmd := b.command()
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGKILL)
		_ = cmd.Wait()
	})
	return cmd
}
