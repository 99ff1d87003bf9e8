// SPDX-License-Identifier: Apache-2.0

package inside

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// api asks the API server the few questions that a start needs.
type api struct {
	base, token string
	client      *http.Client
}

func newAPI(spec rundir.Spec) (*api, error) {
	ca, err := os.ReadFile(filepath.Join(spec.Dir.PKI(), "ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	return &api{
		base: fmt.Sprintf("https://127.0.0.1:%d", spec.Port), token: spec.Token,
		client: &http.Client{Transport: transport, Timeout: 10 * time.Second},
	}, nil
}

// call sends a request and decodes the answer into out, if that is not nil.
func (a *api) call(ctx context.Context, method, path string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Content-Type", "application/yaml")
	res, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return &statusError{code: res.StatusCode, text: fmt.Sprintf("%s %s: %s: %.300s", method, path, res.Status, data)}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(data, out)
}

// statusError is an answer that the API server gave and meant.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return e.text }

// create makes an object unless it is there.
func (a *api) create(ctx context.Context, path string, body []byte) error {
	err := a.call(ctx, http.MethodPost, path, body, nil)
	if s := (*statusError)(nil); errors.As(err, &s) && s.code == http.StatusConflict {
		return nil
	}
	return err
}

// ready asks the API server whether it is.
func (a *api) ready(ctx context.Context) error {
	return a.call(ctx, http.MethodGet, "/readyz", nil, nil)
}

// nodeReady asks whether the kubelet's node can run pods. A node that still has
// the not-ready taint cannot, whatever its condition says.
func (a *api) nodeReady(ctx context.Context) error {
	var node struct {
		Spec struct {
			PodCIDR string
			Taints  []struct{ Key string }
		}
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := a.call(ctx, http.MethodGet, "/api/v1/nodes/"+rundir.NodeName, nil, &node); err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type != "Ready" {
			continue
		}
		if c.Status != "True" {
			return fmt.Errorf("node is not ready: %s", c.Message)
		}
		if len(node.Spec.Taints) > 0 || node.Spec.PodCIDR == "" {
			return fmt.Errorf("node is ready but has taints %v, pod range %q", node.Spec.Taints, node.Spec.PodCIDR)
		}
		return nil
	}
	return errors.New("node has not reported yet")
}

// driverRegistered asks whether the kubelet knows the CSI driver.
func (a *api) driverRegistered(ctx context.Context) error {
	var node struct {
		Spec struct{ Drivers []struct{ Name string } }
	}
	if err := a.call(ctx, http.MethodGet, "/apis/storage.k8s.io/v1/csinodes/"+rundir.NodeName, nil, &node); err != nil {
		return err
	}
	for _, d := range node.Spec.Drivers {
		if d.Name == driverName {
			return nil
		}
	}
	return fmt.Errorf("CSI driver %s is not registered", driverName)
}

// accountReady asks whether pods of the default namespace are admitted and
// started without a retry, which takes its service account and the authority's
// certificate in it.
func (a *api) accountReady(ctx context.Context) error {
	for _, path := range []string{"serviceaccounts/default", "configmaps/kube-root-ca.crt"} {
		if err := a.call(ctx, http.MethodGet, "/api/v1/namespaces/default/"+path, nil, nil); err != nil {
			return err
		}
	}
	return nil
}
