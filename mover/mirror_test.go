// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// noteMC has mc begun by a script that notes what it is asked, and hands out the notes.
func (b *bench) noteMC() (asked func() []string) {
	b.t.Helper()
	dir, mc := b.t.TempDir(), testenv.Variable(b.t, "MOVER_TEST_MC")
	notes := filepath.Join(dir, "notes")
	b.options.MC = filepath.Join(dir, "mc")
	script := fmt.Sprintf("#!/bin/sh\nprintf '%%s\\n' \"$*\" >>'%s'\nexec '%s' \"$@\"\n", notes, mc)
	mustDo(b.t, os.WriteFile(b.options.MC, []byte(script), 0o755))
	return func() []string {
		b.t.Helper()
		text, err := os.ReadFile(notes)
		mustDo(b.t, err)
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
}

// TestAMirrorKeepsToTheBandwidth: it has one half, and the stream of a large object beside it the other. Nothing is
// limited where there is no limit.
func TestAMirrorKeepsToTheBandwidth(t *testing.T) {
	forceMirror(t)
	s := startVersity(t)
	want := small(t, s, 5)
	want["large"] = content(9, plan.LargeSize+5)
	s.put(t, "large", want["large"])
	for limit, flag := range map[int64]string{512 << 20: " --limit-download 268435456B", 0: ""} {
		b := newBench(t, s.endpoint)
		b.request.Transfer.Engine, b.request.Transfer.BytesPerSecond = wire.EngineMC, limit
		asked := b.noteMC()
		b.mustBeDone(b.run())
		b.mustHold(want)
		excluded := ""
		for _, pattern := range (&transfer{volume: &volume.Volume{}}).exclusions() {
			excluded += " --exclude " + pattern
		}
		calls := asked()
		for _, call := range []string{
			"mirror --overwrite --retry --skip-errors --json" + flag + excluded + " source/" + testBucket + "/ " +
				b.paths.Volume + "/",
			"cat" + flag + " source/" + testBucket + "/large",
		} {
			if !slices.Contains(calls, call) {
				t.Errorf("at %d bytes per second mc is asked\n%s\nand not\n%s", limit, strings.Join(calls, "\n"), call)
			}
		}
	}
}
