// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"context"
	"errors"
	"os"
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

// A proxy of modules that fails is told from a program that does not compile.
func TestOnlyWhatWasNotToBeHadIsBuiltAgain(t *testing.T) {
	before := pauses
	pauses = []time.Duration{time.Millisecond}
	t.Cleanup(func() { pauses = before })
	t.Setenv("GOPROXY", "https://127.0.0.1:1")
	t.Setenv("GONOSUMDB", "*")
	for name, tt := range map[string]struct {
		requires, code string
		want           bool
	}{
		"a module that is not to be had": {
			"require example.com/absent v1.0.0\n", "import _ \"example.com/absent\"\n\nfunc main() {}\n", true,
		},
		"a program that is wrong": {"", "func main() { absent() }\n", false},
	} {
		dir := t.TempDir()
		files := map[string]string{
			"go.mod":  "module example.com/program\n\ngo 1.26\n\n" + tt.requires,
			"go.sum":  "example.com/absent v1.0.0 h1:" + digest + "\nexample.com/absent v1.0.0/go.mod h1:" + digest + "\n",
			"main.go": "package main\n\n" + tt.code,
		}
		for file, text := range files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var log bytes.Buffer
		err := (&Cache{Arch: "amd64", Log: &log}).goBuild(t.Context(), dir, []string{"-o", os.DevNull, "."})
		if err == nil || (log.Len() > 0) != tt.want {
			t.Errorf("%s: %v, and it was tried again: %t\n%s", name, err, log.Len() > 0, log.String())
		}
	}
}

// digest is of nothing that there is.
const digest = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
