// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/wire"
)

// mainVariable makes the test binary behave as the command.
const mainVariable = "MOVER_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(mainVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

func noEnv(string) string { return "" }

func TestRunReportsWhatItCannotDo(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		code int
		want wire.Reason
		text string
	}{
		"no request":                 {nil, 2, wire.MoverBroken, "usage"},
		"two requests":               {[]string{"{}", "{}"}, 2, wire.MoverBroken, "no piece of a request"},
		"an unknown flag":            {[]string{"--color", "{}"}, 2, wire.MoverBroken, "usage"},
		"a request that is no JSON":  {[]string{"x"}, 2, wire.MoverBroken, "parse request"},
		"a request from the future":  {[]string{`{"operation":"Populate","teleport":true}`}, 2, wire.MoverBroken, "teleport"},
		"an endpoint that is silent": {[]string{`{"operation":"Inventory","source":{"endpoint":"http://127.0.0.1:1","bucket":"bucket"}}`}, 4, wire.EndpointUnreachable, "spec.endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "termination-log")
			var log bytes.Buffer
			args := append([]string{"--termination-log", file, "--scratch", t.TempDir()}, tt.args...)
			if code := run(args, noEnv, &log); code != tt.code {
				t.Errorf("exit code %d, want %d\n%s", code, tt.code, log.String())
			}
			r := readReport(t, file)
			if r.Reason != tt.want || !strings.Contains(r.Message, tt.text) || r.Class.ExitCode() != tt.code {
				t.Errorf("report is %+v, want %s with %q", r, tt.want, tt.text)
			}
		})
	}
}

// A consumer reports nothing: whoever started it looks at its claim.
func TestAConsumerEndsAtOnce(t *testing.T) {
	var log bytes.Buffer
	if code := run([]string{wire.ConsumerArgument}, noEnv, &log); code != 0 || log.Len() > 0 {
		t.Errorf("exit code %d\n%s", code, log.String())
	}
}

// TestDivide: with the limit that a mover has by default, and with the one that a million keys need.
func TestDivide(t *testing.T) {
	const mib = 1 << 20
	for limit, want := range map[int64]map[bool]shares{
		512 * mib: {false: {384 * mib, 0, 64 * mib}, true: {512 * mib / 5 * 2, 512 * mib / 5 * 2, 64 * mib}},
		128 * mib: {false: {96 * mib, 0, 16 * mib}, true: {128 * mib / 5 * 2, 128 * mib / 5 * 2, 16 * mib}},
	} {
		for withMC, shares := range want {
			if got := divide(limit, withMC); got != shares {
				t.Errorf("%d MiB are divided into %+v, want %+v", limit/mib, got, shares)
			}
		}
	}
}

func readReport(t *testing.T, file string) wire.Report {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := wire.ParseReport(string(text))
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return r
}

// TestSIGTERM stops the command while it waits for an endpoint that accepts
// connections and says nothing.
func TestSIGTERM(t *testing.T) {
	l := listen(t)
	file := filepath.Join(t.TempDir(), "termination-log")
	cmd := exec.Command(os.Args[0], "--termination-log", file, "--scratch", t.TempDir(),
		`{"operation":"Inventory","source":{"endpoint":"http://`+l.Addr().String()+`","bucket":"bucket"}}`)
	cmd.Env = []string{mainVariable + "=1"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept() // It is waiting now.
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	started := time.Now()
	_ = cmd.Process.Signal(unix.SIGTERM)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	if r := readReport(t, file); r.Reason != wire.Interrupted || r.Class != wire.Retry {
		t.Errorf("report is %+v", r)
	}
	if d := time.Since(started); d > 20*time.Second {
		t.Errorf("it took %s to stop", d)
	}
}

// TestSIGTERMAtTheEnd: what a signal makes us write never lands on the report of an attempt
// that was over by then. A volume that is done would be taken for one that is not.
func TestSIGTERMAtTheEnd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "termination-log")
	if err := unix.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	stopping, log := io.Pipe()
	end := onSignal(file, log, func(error) {})
	if err := unix.Kill(os.Getpid(), unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := stopping.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { end(); close(ended) }()
	select {
	case <-ended:
		t.Error("the attempt is reported while its interruption is still being written")
	case <-time.After(200 * time.Millisecond):
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "Interrupted") {
		t.Errorf("the report is %q (%v)", text, err)
	}
	<-ended
}

func TestCgroupLimit(t *testing.T) {
	for name, tt := range map[string]struct {
		file, text string
		want       int64
	}{
		"version 2":               {"memory.max", "268435456\n", 256 << 20},
		"version 2 without limit": {"memory.max", "max\n", 0},
		"version 1":               {"memory/memory.limit_in_bytes", "268435456\n", 256 << 20},
		"version 1 without limit": {"memory/memory.limit_in_bytes", "9223372036854771712\n", 0},
		"no cgroup":               {"other", "1", 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			file := filepath.Join(root, tt.file)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			if got := cgroupLimit(root); got != tt.want {
				t.Errorf("limit %d, want %d", got, tt.want)
			}
		})
	}
}

// TestAThousandKeysCanBeStarted gives the kernel what the schema of an S3Source allows. As
// one argument it is refused before the command has begun.
func TestAThousandKeysCanBeStarted(t *testing.T) {
	r := wire.Request{Operation: wire.Inventory, Source: wire.Source{Endpoint: "http://127.0.0.1:1", Bucket: "bucket"}}
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		key := make([]byte, 1024)
		for i := range key {
			key[i] = byte('0' + random.IntN('z'-'0'))
		}
		r.Source.Objects = append(r.Source.Objects, wire.Object{Key: string(key)})
	}
	start := func(args ...string) (wire.Report, error) {
		file := filepath.Join(t.TempDir(), "termination-log")
		cmd := exec.Command(os.Args[0], append([]string{"--termination-log", file, "--scratch", t.TempDir()}, args...)...)
		cmd.Env = []string{mainVariable + "=1"}
		if err := cmd.Start(); err != nil {
			return wire.Report{}, err
		}
		_ = cmd.Wait()
		return readReport(t, file), nil
	}
	args, err := r.EncodeArgs()
	if err != nil {
		t.Fatal(err)
	}
	if report, err := start(args...); err != nil || report.Reason != wire.EndpointUnreachable {
		t.Errorf("report is %+v (%v), want %s: the request was understood", report, err, wire.EndpointUnreachable)
	}
	one, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := start(one); !errors.Is(err, unix.E2BIG) {
		t.Errorf("as one argument: %v, want %v", err, unix.E2BIG)
	}
}
