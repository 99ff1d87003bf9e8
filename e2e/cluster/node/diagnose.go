// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// diagnoseLines is how much of each log a failing test shows.
const diagnoseLines = 12

// Diagnose names the logs of the node's components and shows how each ends, for
// the output of a failing test.
func (n *Node) Diagnose() string {
	var out strings.Builder
	fmt.Fprintf(
		&out,
		"node of %s: daemon alive: %t, init alive: %t\n",
		n.dir,
		n.state.Daemon.Alive(),
		n.state.Init.Alive(),
	)
	logs, _ := filepath.Glob(filepath.Join(n.dir.Logs(), "*.log"))
	slices.Sort(logs)
	for _, path := range logs {
		data, err := os.ReadFile(path)
		if err != nil {
			fmt.Fprintf(&out, "--- %s: %v\n", path, err)
			continue
		}
		fmt.Fprintf(&out, "--- %s\n%s\n", path, lastLines(string(data), diagnoseLines))
	}
	return out.String()
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
