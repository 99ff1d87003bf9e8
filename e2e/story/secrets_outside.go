// SPDX-License-Identifier: Apache-2.0

package story

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// searchLogs looks for secret keys in all logs: those of the node's components, of every
// container that the kubelet keeps, and of every mover and manager that ever was.
func searchLogs(dir string, secrets []secret) (found []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return ignoreGone(err)
		}
		text, err := os.ReadFile(path)
		if what := reveals(text, secrets); what != "" {
			found = append(found, fmt.Sprintf("%s shows %s", path, what))
		}
		return ignoreGone(err)
	})
	return found, err
}

// ignoreGone: the kubelet removes the logs of pods that are deleted.
func ignoreGone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// HidesSecrets fails the story when a process of the node shows a secret key among its
// arguments, or a mover in its environment, right now. It returns how many processes of
// movers it saw.
func (s *Story) HidesSecrets() int {
	s.T.Helper()
	secrets := s.World.hidden.list()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	s.must("list processes", err)
	movers := 0
	for _, dir := range dirs {
		arguments, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue // it has ended
		}
		command, _, _ := strings.Cut(string(arguments), "\x00")
		for _, wrong := range processShows(dir, secrets) {
			s.T.Errorf("process %s: %s", command, wrong)
		}
		if command == "/mover" || command == "/mc" {
			movers++
		}
	}
	return movers
}

// processShows tells what a process shows to the node: anybody reads its arguments, and whoever
// is its user its environment. A server of a story is given its own key by that, and is no part
// of a cluster.
func processShows(dir string, secrets []secret) (wrong []string) {
	arguments, _ := os.ReadFile(filepath.Join(dir, "cmdline")) // none when it has ended
	if what := reveals(arguments, secrets); what != "" {
		wrong = append(wrong, "its arguments show "+what)
	}
	command, _, _ := strings.Cut(string(arguments), "\x00")
	if command != "/mover" && command != "/mc" && command != "/manager" {
		return wrong
	}
	environment, _ := os.ReadFile(filepath.Join(dir, "environ"))
	if what := reveals(environment, secrets); what != "" {
		wrong = append(wrong, "its environment shows "+what)
	}
	return wrong
}
