// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What fails once by the network is tried again, for a while, and what a person has to correct is not.
func TestWhatPassesIsTriedAgain(t *testing.T) {
	broken, wrong := errors.New("connection reset by peer"), errors.New("syntax error")
	for name, tt := range map[string]struct {
		errs  []error // Of each try; nil after that.
		ended bool    // The context.
		tries int
		want  error
	}{
		"it works":                {tries: 1},
		"it passes":               {errs: []error{passing(broken), passing(broken)}, tries: 3},
		"it does not pass":        {errs: []error{passing(broken), passing(broken), passing(broken)}, tries: 3, want: broken},
		"a person has to correct": {errs: []error{wrong}, tries: 1, want: wrong},
		"it passes, and then":     {errs: []error{passing(broken), wrong}, tries: 2, want: wrong},
		"we are told to end":      {errs: []error{passing(broken)}, ended: true, tries: 1, want: broken},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if tt.ended {
			cancel()
		}
		tries := 0
		var log bytes.Buffer
		err := again(ctx, &log, []time.Duration{time.Millisecond, time.Millisecond}, func() error {
			tries++
			if tries > len(tt.errs) {
				return nil
			}
			return tt.errs[tries-1]
		})
		cancel()
		if tries != tt.tries || !errors.Is(err, tt.want) {
			t.Errorf("%s: %d tries, %v; want %d and %v", name, tries, err, tt.tries, tt.want)
		}
		if told := strings.Count(log.String(), broken.Error()); told != tries-1 {
			t.Errorf("%s: it tells of %d:\n%s", name, told, log.String())
		}
	}
}

// Who is told to end does not wait for the next try.
func TestAPauseEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	err := again(ctx, new(bytes.Buffer), []time.Duration{time.Hour}, func() error {
		tries++
		time.AfterFunc(10*time.Millisecond, cancel)
		return passing(errors.New("connection reset by peer"))
	})
	if tries != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d tries, %v", tries, err)
	}
}

// A pause is made: what fails at once would fail again.
func TestATryWaits(t *testing.T) {
	const pause = 20 * time.Millisecond
	began := time.Now()
	_ = again(t.Context(), new(bytes.Buffer), []time.Duration{pause}, func() error { return passing(errors.New("no")) })
	if took := time.Since(began); took < pause {
		t.Errorf("both tries took %s, and the pause is %s", took, pause)
	}
	if passing(nil) != nil || unreachable(nil) != nil {
		t.Error("no error became one")
	}
}

// A proxy of modules that fails is told from a program that does not compile.
func TestOnlyWhatWasNotToBeHadIsBuiltAgain(t *testing.T) {
	const absent = "example.com/absent"
	for name, tt := range map[string]struct {
		proxy, code, says string
		tries             int
	}{
		"a module":                  {"https://127.0.0.1:1", `import _ "` + absent + `"; func main() {}`, absent, 2},
		"a module of a plain proxy": {"http://127.0.0.1:1", `import _ "` + absent + `"; func main() {}`, absent, 2},
		"a program that is wrong":   {"off", `func main() { missing() }`, "missing", 1},
		"a constant":                {"off", `var n int = "https://example.com"; func main() {}`, "https://", 1},
	} {
		t.Run(name, func(t *testing.T) {
			unreachableProxy(t, tt.proxy)
			dir := programs(t, "package main; "+tt.code, absent)
			var log bytes.Buffer
			err := (&Cache{Arch: "amd64", Log: &log}).goBuild(t.Context(), dir, []string{"-o", os.DevNull, "."})
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Count(log.String(), "again in ")+1 != tt.tries {
				t.Errorf("want %d tries and %q, have %v\n%s", tt.tries, tt.says, err, log.String())
			}
		})
	}
}

// The go command tells what it could not get in several ways; a server's answer is among them, a checksum is not.
func TestWhatWasNotToBeHad(t *testing.T) {
	for text, want := range map[string]bool{
		`m@v1.0.0: Get "https://proxy/m/@v/v1.0.0.mod": dial tcp: i/o timeout`:     true,
		`m@v1.0.0: read "https://proxy/m/@v/v1.0.0.zip": connection reset by peer`: true,
		"m@v1.0.0: reading http://proxy/m/@v/v1.0.0.mod: 502 Bad Gateway":          true,
		"fatal: unable to access 'https://host/m/': Could not resolve host":        true,
		"verifying m@v1.0.0: checksum mismatch":                                    false,
		`main.go:1:1: cannot use "https://host" as int value`:                      false,
	} {
		_, got := errors.AsType[passingError](unreachable(errors.New(text)))
		if got != want {
			t.Errorf("%s: it passes: %t", text, got)
		}
	}
}

// hack/again.sh is the same for shell scripts: its last try decides, and what a signal has ended is not tried again.
func TestAScriptTriesAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		command     string
		tries, code int
	}{
		"it works":         {"true", 1, 0},
		"it passes":        {"[ $(wc -l <tries) = 2 ]", 2, 0},
		"it does not pass": {"exit 4", 3, 4},
		"a signal":         {"kill -TERM $$", 1, 143},
	} {
		script, err := filepath.Abs("../../../hack/again.sh")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), script, "bash", "-c", "echo >>tries; "+tt.command)
		cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), "AGAIN_PAUSES=0.01 0.01")
		out, _ := cmd.CombinedOutput()
		tries, err := os.ReadFile(filepath.Join(cmd.Dir, "tries"))
		if len(tries) != tt.tries || cmd.ProcessState.ExitCode() != tt.code || err != nil {
			t.Errorf("%s: %d tries, status %d, %v; want %d and %d\n%s",
				name, len(tries), cmd.ProcessState.ExitCode(), err, tt.tries, tt.code, out)
		}
	}
}

// unreachableProxy has the go command ask there for modules, and us for a moment until it does again.
func unreachableProxy(t *testing.T, proxy string) {
	t.Helper()
	before := pauses
	pauses = []time.Duration{time.Millisecond}
	t.Cleanup(func() { pauses = before })
	t.Setenv("GOPROXY", proxy)
	t.Setenv("GONOSUMDB", "*")
	t.Setenv("GOMODCACHE", t.TempDir())
}

// programs is a folder with a program that requires modules.
func programs(t *testing.T, code string, modules ...string) string {
	t.Helper()
	dir := t.TempDir()
	const digest = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" // Of nothing that there is.
	mod, sum := "module example.com/program\n\ngo 1.26\n\n", ""
	for _, m := range modules {
		mod += "require " + m + " v1.0.0\n"
		sum += m + " v1.0.0 h1:" + digest + "\n" + m + " v1.0.0/go.mod h1:" + digest + "\n"
	}
	for file, text := range map[string]string{"go.mod": mod, "go.sum": sum, "main.go": code} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
