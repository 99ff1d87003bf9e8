// SPDX-License-Identifier: Apache-2.0

package faultinjection

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/wire"
)

// grace is what a pod is given between SIGTERM and SIGKILL here: less than any has.
const grace = 5 * time.Second

// TestATermination ends the command as the kubelet does, while it waits for bytes that do not come. What it leaves
// is a report, written before all that may take longer than its grace, and something to go on with.
func TestATermination(t *testing.T) {
	t.Parallel()
	mover := buildMover(t)
	withEngines(t, func(t *testing.T, engine string) {
		s := startServer(t)
		want := s.huge(t)
		g, address := startGate(t, s, portion)
		a := newAttempt(t, engine, address)
		file := filepath.Join(t.TempDir(), "termination-log")
		cmd := a.command(mover, file)
		waitFor(t, patience, "the journal knows of the beginning", func() bool { return a.noted() >= noticed })
		noted := a.noted()
		if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		// A machine may be too busy to let it run: its grace begins with its report.
		waitFor(t, patience, "a report is there", func() bool { _, err := readReport(file); return err == nil })
		kill := time.AfterFunc(grace, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		kill.Stop()
		r, err := readReport(file)
		if err != nil || r.Reason != wire.Interrupted || !r.Class.Again() {
			t.Fatalf("the report is %+v (%v)", r, err)
		}
		g.open(hugeSize)
		a.request.Attempt, a.request.Volume.Began = 2, r.Began
		r = a.run(2*patience, want)
		if most := totalSize(want) - noted; r.Class != wire.Done || r.FetchedBytes > most {
			t.Errorf("%d bytes came, want %d at most; the report is %+v", r.FetchedBytes, most, r)
		}
	})
}

func readReport(file string) (wire.Report, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return wire.Report{}, err
	}
	return wire.ParseReport(string(text))
}

// buildMover returns the path of the command, as it is in the image.
func buildMover(t testing.TB) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "mover")
	args := []string{"build", "-buildvcs=false", "-ldflags=-w", "-o", binary}
	if testenv.Race {
		args = append(args, "-race")
	}
	args = append(args, "github.com/s3populator/s3populator/cmd/mover")
	if out, err := exec.Command(testenv.Program(t, "go", "golang"), args...).CombinedOutput(); err != nil {
		t.Fatalf("build the mover: %v\n%s", err, out)
	}
	return binary
}

// command starts the command as a process.
func (a *attempt) command(mover, terminationLog string) *exec.Cmd {
	a.t.Helper()
	request, err := a.request.Encode()
	if err != nil {
		a.t.Fatal(err)
	}
	p := a.options.Paths
	cmd := exec.Command(mover, "--termination-log", terminationLog, "--mc", a.options.MC,
		"--volume", p.Volume, "--scratch", p.Scratch, "--credentials", p.Credentials, "--ca-bundles", p.CABundles,
		"--progress-token", p.ProgressToken, "--identity-token", p.IdentityToken, request)
	cmd.Env = []string{wire.PodUIDVariable + "=terminated-pod"}
	a.begin(cmd)
	return cmd
}
