// SPDX-License-Identifier: Apache-2.0

// Package kubetest starts a Kubernetes API server for tests that need its real behaviour:
// CEL, admission, watches, conflicts. It runs etcd and kube-apiserver alone, so no
// controller acts and no pod runs. Production code never imports it.
package kubetest

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Options of an API server.
type Options struct {
	// CRDs are files or directories with CustomResourceDefinitions to install.
	CRDs []string
}

// APIServer starts an API server that ends with the test.
func APIServer(t testing.TB, o Options) *rest.Config {
	t.Helper()
	env := &envtest.Environment{CRDDirectoryPaths: o.CRDs, ErrorIfCRDPathMissing: true}
	server := env.ControlPlane.GetAPIServer()
	env.ControlPlane.Etcd = &envtest.Etcd{}
	server.Path = Program(t, "kube-apiserver")
	env.ControlPlane.Etcd.Path = Program(t, "etcd")
	env.ControlPlane.KubectlPath = Program(t, "kubectl")
	config, err := env.Start()
	if err != nil {
		t.Fatalf("start an API server: %v", err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Errorf("stop the API server: %v", err)
		}
	})
	return config
}

// Program is the path of kube-apiserver, etcd or kubectl. Without it the test is skipped, or
// fails if ENVTEST_REQUIRED is set.
func Program(t testing.TB, name string) string {
	t.Helper()
	path := find(name)
	const advice = "no %s found: set KUBEBUILDER_ASSETS to a directory that holds kube-apiserver, etcd and kubectl"
	switch {
	case path == "" && os.Getenv("ENVTEST_REQUIRED") != "": //nolint:forbidigo // Test code, whatever its file is called.
		t.Fatalf(advice, name)
	case path == "":
		t.Skipf(advice, name)
	}
	return path
}

// find looks into KUBEBUILDER_ASSETS, then into the cache of pinned tools, newest first.
func find(name string) string {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" { //nolint:forbidigo // Test code, whatever its file is called.
		return filepath.Join(dir, name)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	found, err := filepath.Glob(filepath.Join(cache, "s3populator", "*", "*", name))
	if err != nil || len(found) == 0 {
		return ""
	}
	return slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(modified(a), modified(b)) })
}

func modified(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.ModTime().UnixNano()
}
