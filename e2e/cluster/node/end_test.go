// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package node_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/e2e/cluster/node"
	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// patternSum is the checksum of what "probe write" writes, derived anew.
func patternSum(size int) string {
	var text strings.Builder
	for offset := 0; text.Len() < size; offset += 16 {
		fmt.Fprintf(&text, "%015x\n", offset)
	}
	sum := sha256.Sum256([]byte(text.String()[:size]))
	return hex.EncodeToString(sum[:])
}

func TestTwoNodesDoNotMeet(t *testing.T) {
	a, b := connected(t, up(t)), connected(t, up(t))
	a.claim(t, "data")
	b.claim(t, "data")
	a.probe(t, "data", "write", "/data/from-a", "10")
	if got := b.probe(t, "data", "ls", "/data"); got != "" {
		t.Errorf("b's volume holds %q", got)
	}
	if err := a.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.probe(t, "data", "write", "/data/after-a", "10")
}

// A daemon that is killed outright cannot clean up; the kernel ends its node,
// and Remove does the rest.
func TestNodeOfAKilledDaemonIsRemoved(t *testing.T) {
	before := observe(t)
	c := connected(t, up(t))
	tr := tracesOf(t, c.Dir())
	c.claim(t, "data")
	c.probe(t, "data", "write", "/data/file", "10")
	state, err := rundir.Dir(c.Dir()).ReadState()
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Daemon.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := node.Remove(t.Context(), c.Dir(), false); err != nil {
		t.Fatal(err)
	}
	assertGone(t, before, tr)
}
