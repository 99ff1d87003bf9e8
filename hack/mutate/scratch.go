// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// scratch is a copy of the checkout, as it is on disk, in which patches are applied.
type scratch struct{ dir string }

// newScratch copies what git tracks and what it does not ignore: a test that was just
// written counts. The copy is a repository of one commit, because stories ask git for the
// state of what they build.
func newScratch(ctx context.Context, from string) (scratch, error) {
	from, err := filepath.Abs(from)
	if err != nil {
		return scratch{}, fmt.Errorf("find checkout: %w", err)
	}
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return scratch{}, fmt.Errorf("make copy: %w", err)
	}
	s := scratch{dir}
	const copyAll = `git -C "$1" ls-files -z --cached --others --exclude-standard |
		(cd "$1" && xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' sh) |
		tar -C "$1" --null -T - -cf - | tar -C "$2" -xf - &&
		cd "$2" && git init -q . && git add -A &&
		git -c user.name=mutate -c user.email=mutate@localhost commit -q -m copy`
	if out, err := s.in(ctx, "bash", "-o", "pipefail", "-c", copyAll, "bash", from, dir); err != nil {
		s.remove()
		return scratch{}, fmt.Errorf("copy checkout: %w\n%s", err, out)
	}
	return s, nil
}

func (s scratch) remove() {
	if err := os.RemoveAll(s.dir); err != nil {
		fmt.Fprintln(os.Stderr, "mutate: remove copy:", err)
	}
}

// apply changes the copy by a patch that is in it; the returned function changes it back.
func (s scratch) apply(ctx context.Context, file string) (undo func() error, err error) {
	if out, err := s.in(ctx, "git", "apply", file); err != nil {
		return nil, fmt.Errorf("does not apply: %s", firstLine(out))
	}
	return func() error { //nolint:contextcheck // The copy is mended also when the run was told to stop.
		if out, err := s.in(context.Background(), "git", "checkout", "-q", "--", "."); err != nil {
			return fmt.Errorf("undo: %w: %s", err, out)
		}
		return nil
	}, nil
}

// build tells whether the packages compile that a patch changes. The flags are those of the
// tests, which then find what was built.
func (s scratch) build(ctx context.Context, packages []string) error {
	if len(packages) == 0 {
		return nil
	}
	if out, err := s.in(ctx, "go", append([]string{"build", "-o", os.DevNull}, packages...)...); err != nil {
		return fmt.Errorf("does not build: %s", lastLine(out))
	}
	return nil
}

// in runs a command in the copy and returns all that it says. What it started ends with it.
func (s scratch) in(ctx context.Context, name string, arguments ...string) (string, error) {
	c := exec.CommandContext(ctx, name, arguments...) //nolint:gosec // Commands that parseKiller lets through.
	var out bytes.Buffer
	c.Dir, c.Env, c.Stdout, c.Stderr = s.dir, outsideGit(os.Environ()), &out, &out
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGTERM) }
	c.WaitDelay = 30 * time.Second
	err := c.Run()
	if ctx.Err() != nil {
		return out.String(), errors.Join(err, context.Cause(ctx))
	}
	return out.String(), err //nolint:wrapcheck // The caller says what failed.
}

// outsideGit is an environment without what git tells its hooks and `rebase --exec`: with GIT_DIR, every
// git of the copy would write to the repository that it was copied from.
func outsideGit(environment []string) []string {
	return slices.DeleteFunc(environment, func(v string) bool { return strings.HasPrefix(v, "GIT_") })
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndex(text, "\n")+1:]
}
