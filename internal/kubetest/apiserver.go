// SPDX-License-Identifier: Apache-2.0

// Package kubetest starts a Kubernetes API server for tests that need its real behaviour:
// CEL, admission, watches, conflicts. It runs etcd and kube-apiserver alone, so no
// controller acts and no pod runs. Production code never imports it.
package kubetest

import (
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Patience is how long each part of a control plane may take to start, to know what it is told, and to end, on a
// machine that is busy.
const Patience = 2 * time.Minute

// Options of an API server.
type Options struct {
	// CRDs are files or directories with CustomResourceDefinitions to install.
	CRDs []string
}

// APIServer starts an API server that ends with the test.
func APIServer(t testing.TB, o Options) *rest.Config {
	t.Helper()
	env := &envtest.Environment{
		CRDDirectoryPaths:        o.CRDs,
		ErrorIfCRDPathMissing:    true,
		CRDInstallOptions:        envtest.CRDInstallOptions{MaxTime: Patience},
		ControlPlaneStartTimeout: Patience,
		ControlPlaneStopTimeout:  Patience,
	}
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
