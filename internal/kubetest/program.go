// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
	"github.com/s3populator/s3populator/internal/testenv"
)

// Program is the path of kube-apiserver, kube-controller-manager, etcd or kubectl. Without it the
// test is skipped, or fails where every tool is required.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := assetOrPinned(t, name)
	if err != nil {
		testenv.Skipf(
			t,
			"%v; run `make unit`, or set KUBEBUILDER_ASSETS to a directory that holds kube-apiserver, etcd, kubectl and "+
				"kube-controller-manager",
			err,
		)
	}
	return path
}

func assetOrPinned(t testing.TB, name string) (string, error) {
	dir := os.Getenv("KUBEBUILDER_ASSETS") //nolint:forbidigo // Test code, whatever its file is called.
	if dir == "" {
		return pinned(t, name)
	}
	path := filepath.Join(dir, name)
	_, err := os.Stat(path) //nolint:gosec // The variable is of whoever runs the tests.
	return path, err
}

// pinned looks into the cache of tools for the version that this checkout pins, and for no other:
// a test must not pass because of what another branch has built.
func pinned(t testing.TB, name string) (string, error) {
	cache, err := toolchain.Open(io.Discard)
	if err != nil {
		return "", err
	}
	return cache.Built(t.Context(), name)
}
