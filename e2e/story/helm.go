// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"

	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
)

// Helm runs the pinned helm against the node and returns what it printed.
func (w *World) Helm(ctx context.Context, args ...string) (string, error) {
	cache, err := toolchain.Open(w.options.Log)
	if err != nil {
		return "", err
	}
	binaries, err := cache.Ensure(ctx, "helm")
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	cmd := w.Node.Command(ctx, binaries["helm"], args...)
	home := filepath.Join(w.Dir(), "helm")
	cmd.Env = append(cmd.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("helm %v: %w\n%s", args, err, out.String())
	}
	return out.String(), nil
}

// Helm runs helm in the namespace of the story.
func (s *Story) Helm(args ...string) string {
	s.T.Helper()
	out, err := s.World.Helm(s.T.Context(), append(args, "--namespace", s.Namespace)...)
	s.must("install a chart", err)
	return out
}

// Checkout is the absolute path of a file or directory of this checkout.
func Checkout(path string) (string, error) {
	source, err := toolchain.SourceRoot()
	return filepath.Join(source, path), err
}
