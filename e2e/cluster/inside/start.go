// SPDX-License-Identifier: Apache-2.0

package inside

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// launch starts the components of a stage and watches that none ends.
func (n *node) launch(names []string) error {
	for _, name := range names {
		if !wanted(n.spec, name) {
			continue
		}
		done, err := n.super.launch(command(n.spec, name))
		if err != nil {
			return err
		}
		go func() {
			n.ended <- fmt.Errorf("%s ended (%s)\n%s", name, describe(<-done), logTail(n.spec.Dir, name))
		}()
	}
	return nil
}

// await asks until the answer is no error, a component ends or time is up.
func (n *node) await(ctx context.Context, component string, ask func(context.Context) error) error {
	const poll = 20 * time.Millisecond // short against the seconds a start takes, long against a request
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case ended := <-n.ended:
			return ended
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s: %w\n%s", component, startDeadline, err, logTail(n.spec.Dir, component))
		case <-ticker.C:
		}
	}
}

func describe(status unix.WaitStatus) string {
	if status.Signaled() {
		return "signal " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// logTail names a component's log and shows its last lines.
func logTail(dir rundir.Dir, component string) string {
	const lines = 15
	data, _ := os.ReadFile(dir.Log(component))
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return dir.Log(component) + " ends with:\n" + strings.Join(all[max(0, len(all)-lines):], "\n")
}

// environment is what components see. Their temporary files belong to the run,
// and the binaries we built come before the system's.
func environment(spec rundir.Spec) []string {
	dirs := map[string]bool{}
	var path strings.Builder
	for _, binary := range spec.Binaries {
		if d := filepath.Dir(binary); !dirs[d] {
			dirs[d] = true
			path.WriteString(d + ":")
		}
	}
	return []string{
		"PATH=" + path.String() + "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		"TMPDIR=" + spec.Dir.Temp(), "KUBECONFIG=" + spec.Dir.Kubeconfig(),
	}
}
