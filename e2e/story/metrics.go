// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Metrics are one replica's, in the text format of Prometheus.
type Metrics []byte

// ManagerMetrics asks every replica of the manager.
func (w *World) ManagerMetrics(ctx context.Context) ([]Metrics, error) {
	answers, err := w.AskManager(ctx, "8080", "/metrics")
	if err != nil {
		return nil, fmt.Errorf("ask the manager for its metrics: %w", err)
	}
	all := make([]Metrics, 0, len(answers))
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		all = append(all, answers[name])
	}
	return all, nil
}

// AskManager gets a path from every replica of the manager at once; the answers are by pod.
func (w *World) AskManager(ctx context.Context, port, path string) (map[string][]byte, error) {
	var pods corev1.PodList
	err := w.Client.List(ctx, &pods, client.InNamespace(SystemNamespace),
		client.MatchingLabels{"app.kubernetes.io/component": "manager"})
	if err != nil {
		return nil, fmt.Errorf("list the manager's pods: %w", err)
	}
	if len(pods.Items) == 0 {
		return nil, errors.New("there is no pod of the manager")
	}
	answers := make([][]byte, len(pods.Items))
	group, ctx := errgroup.WithContext(ctx)
	for i := range pods.Items {
		group.Go(func() (err error) {
			answers[i], err = w.ask(ctx, net.JoinHostPort(pods.Items[i].Status.PodIP, port), path)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for i := range pods.Items {
		all[pods.Items[i].Name] = answers[i]
	}
	return all, nil
}

func (w *World) ask(ctx context.Context, address, path string) ([]byte, error) {
	c := http.Client{Transport: &http.Transport{DialContext: w.Node.Dial, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := c.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s%s answers %s", address, path, response.Status)
	}
	return io.ReadAll(response.Body)
}

// Sum adds the samples of one counter or gauge.
func (m Metrics) Sum(metric string) (total float64, err error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(m))
	if err != nil {
		return 0, fmt.Errorf("parse the manager's metrics: %w", err)
	}
	family := families[metric]
	if len(family.GetMetric()) == 0 {
		return 0, fmt.Errorf("no metric %s", metric)
	}
	for _, sample := range family.GetMetric() {
		total += sample.GetCounter().GetValue() + sample.GetGauge().GetValue() + sample.GetUntyped().GetValue()
	}
	return total, nil
}

// ReviewsServed is how many claims the API server has shown to the manager's replicas.
func (w *World) ReviewsServed(ctx context.Context) (n float64, err error) {
	all, err := w.ManagerMetrics(ctx)
	if err != nil {
		return 0, err
	}
	for _, m := range all {
		served, err := m.Sum("controller_runtime_webhook_requests_total")
		if err != nil {
			return 0, err
		}
		n += served
	}
	return n, nil
}
