// SPDX-License-Identifier: Apache-2.0

package rundir

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestRunDirectoriesThatCannotServeAreRefused(t *testing.T) {
	cases := map[string]struct {
		dir  Dir
		want string
	}{
		"a short absolute path is good":         {"/tmp/s3populator-1", ""},
		"a relative path":                       {"run", "not an absolute path"},
		"a path too long for a socket below it": {Dir("/" + strings.Repeat("x", maxPath)), "choose a shorter one"},
		"the longest path":                      {Dir("/" + strings.Repeat("x", maxPath-1)), ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := c.dir.Check()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("Check() = %v, want %q", err, c.want)
			}
		})
	}
}

func TestStateSurvivesItsFile(t *testing.T) {
	d := Dir(t.TempDir())
	want := State{Daemon: Process{PID: 7, Start: 8}, Init: Process{PID: 9, Start: 10}, Port: 6443, Token: "t"}
	if err := d.WriteState(want); err != nil {
		t.Fatal(err)
	}
	got, err := d.ReadState()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	info, err := os.Stat(d.join("state.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the token has mode %v (%v)", info.Mode(), err)
	}
}

func TestTwoRunsHaveTwoCgroups(t *testing.T) {
	if a, b := Dir("/tmp/a").CgroupRoot(), Dir("/tmp/b").CgroupRoot(); a == b {
		t.Errorf("both runs use %s", a)
	}
}

func TestParseStat(t *testing.T) {
	const tail = " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21"
	cases := map[string]struct {
		text       string
		wantStart  uint64
		wantZombie bool
		wantErr    bool
	}{
		"a plain process":                {"42 (kubelet) S" + tail, 4711, false, false},
		"a name with a blank and parens": {"42 (a b) Z (c) R" + tail, 4711, false, false},
		"a zombie":                       {"42 (sh) Z" + tail, 4711, true, false},
		"a torn line":                    {"42 (sh) S 1 2", 0, false, true},
		"no name":                        {"", 0, false, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			start, zombie, err := parseStat(c.text)
			if (err != nil) != c.wantErr || start != c.wantStart || zombie != c.wantZombie {
				t.Errorf("parseStat = %d, %t, %v", start, zombie, err)
			}
		})
	}
}

func TestSignalsReachOnlyTheVeryProcess(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := (Process{PID: p.PID, Start: p.Start + 1}).Signal(unix.SIGKILL); err != nil || !p.Alive() {
		t.Fatalf("another process's signal ended this one (%v)", err)
	}
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || p.Alive() {
		t.Errorf("the process survived its signal: %v", err)
	}
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Errorf("signalling an ended process: %v", err)
	}
}
