// SPDX-License-Identifier: Apache-2.0

package story

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

var errNotOne = errors.New("that is not the one")

// searchLogs looks for secrets in all logs: those of the node's components, of every
// container that the kubelet keeps, and of every mover and manager that ever was. Only files whose
// name begins with prefix are looked at.
func searchLogs(dir, prefix string, secrets []secret) (found []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.HasPrefix(d.Name(), prefix) {
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

// plantedLog tells that a log is of a pod in which a story hides a secret: the kubelet calls its
// directory NAMESPACE_NAME_UID.
func plantedLog(path string) bool { return strings.Contains(path, "_"+planted) }

// PlantedInLog waits until the log of a pod whose name begins with "planted-" was found to show what a
// secret looks like.
func (s *Story) PlantedInLog(pod, what string) {
	s.T.Helper()
	s.Await("the secret in the log of "+pod+" to be found", func() error {
		dirs, err := filepath.Glob(filepath.Join(s.World.logDir(), "pods", s.Namespace+"_"+pod+"_*"))
		if err != nil || len(dirs) != 1 {
			return fmt.Errorf("its logs are in %q: %w", dirs, cmp.Or(err, errNotOne))
		}
		found, err := searchLogs(dirs[0], "", s.World.hidden.list())
		if err != nil || len(found) != 1 || !strings.HasSuffix(found[0], " shows "+what) {
			return fmt.Errorf("found %q: %w", found, cmp.Or(err, errNotOne))
		}
		return nil
	})
}

// ignoreGone: the kubelet removes the logs of pods that are deleted.
func ignoreGone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// HidesSecrets fails the story when a process of the node shows a secret key among its
// arguments, or a mover in its environment, right now. It returns how many processes it saw of
// this mover and its mc: those of other stories come and go.
func (s *Story) HidesSecrets(mover *corev1.Pod) int {
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
		if (command == "/mover" || command == "/mc") && ofPod(dir, mover.UID) {
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
