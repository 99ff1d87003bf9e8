// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// secrets are the secret keys of all servers, as they are and as they look in a Secret.
func (w *World) secrets() map[string][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string][]byte{}
	for name, s := range w.servers {
		out["the secret key of "+string(name)] = []byte(s.SecretKey)
		out["the secret key of "+string(name)+" in base64"] = []byte(base64.StdEncoding.EncodeToString([]byte(s.SecretKey)))
	}
	return out
}

func reveals(text []byte, secrets map[string][]byte) string {
	for what, secret := range secrets {
		if bytes.Contains(text, secret) {
			return what
		}
	}
	return ""
}

// searchSecrets looks for secret keys wherever somebody without the right to read Secrets
// could find them: every object of every kind that we make or touch, events, and all
// logs, those of the node's components and of every mover included.
func (w *World) searchSecrets(ctx context.Context) (found []string, err error) {
	secrets := w.secrets()
	if len(secrets) == 0 {
		return nil, nil
	}
	for _, list := range []client.ObjectList{
		&corev1.PodList{}, &corev1.PersistentVolumeClaimList{}, &corev1.PersistentVolumeList{}, &corev1.EventList{}, &eventsv1.EventList{},
		&corev1.ConfigMapList{}, &v1alpha1.S3SourceList{}, &v1alpha1.S3ImportList{},
	} {
		if err := w.Client.List(ctx, list); err != nil {
			return nil, fmt.Errorf("list %T: %w", list, err)
		}
		text, err := json.Marshal(list)
		if err != nil {
			return nil, fmt.Errorf("encode %T: %w", list, err)
		}
		if what := reveals(text, secrets); what != "" {
			found = append(found, fmt.Sprintf("%T shows %s", list, what))
		}
	}
	err = filepath.WalkDir(w.logDir(), func(path string, d fs.DirEntry, err error) error {
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
	secrets := s.World.secrets()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	s.must("list processes", err)
	movers := 0
	for _, dir := range dirs {
		arguments, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue // it has ended
		}
		command, _, _ := strings.Cut(string(arguments), "\x00")
		if what := reveals(arguments, secrets); what != "" {
			s.T.Errorf("the arguments of %s show %s", command, what)
		}
		if command != "/mover" && command != "/mc" {
			continue
		}
		movers++
		environment, err := os.ReadFile(filepath.Join(dir, "environ"))
		if what := reveals(environment, secrets); err == nil && what != "" {
			s.T.Errorf("the environment of %s shows %s", command, what)
		}
	}
	return movers
}
