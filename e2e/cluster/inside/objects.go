// SPDX-License-Identifier: Apache-2.0

package inside

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// createObjects makes what the controllers expect to find.
func (n *node) createObjects(ctx context.Context) error {
	const crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	for _, file := range n.spec.CRDs {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read custom resource definition: %w", err)
		}
		if err := n.api.create(ctx, crds, text); err != nil {
			return fmt.Errorf("create custom resource definition %s: %w", file, err)
		}
	}
	if !wanted(n.spec, "csi") {
		return nil
	}
	for file, path := range map[string]string{
		"csidriver.yaml": "/apis/storage.k8s.io/v1/csidrivers", "storageclass.yaml": "/apis/storage.k8s.io/v1/storageclasses",
	} {
		text, err := render(file, newValues(n.spec))
		if err != nil {
			return err
		}
		if err := n.api.create(ctx, path, text); err != nil {
			return fmt.Errorf("create %s: %w", file, err)
		}
	}
	return nil
}

// loadImages gives containerd the images that the caller has built.
func (n *node) loadImages(ctx context.Context) error {
	if !wanted(n.spec, "containerd") {
		return nil
	}
	for ticker := time.NewTicker(20 * time.Millisecond); ; {
		if containerdReady(ctx) == nil {
			ticker.Stop()
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	for _, archive := range n.spec.Images {
		if err := n.super.run(ctx, "", n.spec.Binaries["ctr"], "-n", "k8s.io", "images", "import", archive); err != nil {
			return err
		}
	}
	return nil
}

// containerdReady asks whether containerd takes connections.
func containerdReady(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", "/run/containerd/containerd.sock")
	if err != nil {
		return err
	}
	return conn.Close()
}

// dnsReady asks CoreDNS whether it has read the cluster's Services.
func dnsReady(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:8181/ready", http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("CoreDNS answers %s", res.Status)
	}
	return serviceFound(ctx)
}

// serviceFound asks for a Service's name the way that a pod's resolver does.
func serviceFound(ctx context.Context) error {
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(rundir.NodeAddress, "53"))
	}}
	_, err := r.LookupHost(ctx, "kubernetes.default.svc."+rundir.ClusterDomain+".")
	return err
}
