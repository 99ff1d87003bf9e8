// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Metrics are one replica's, in the text format of Prometheus.
type Metrics []byte

// ManagerMetrics asks every replica of the manager.
func (w *World) ManagerMetrics(ctx context.Context) ([]Metrics, error) {
	var pods corev1.PodList
	if err := w.Client.List(ctx, &pods, client.InNamespace(SystemNamespace), client.MatchingLabels{"app.kubernetes.io/component": "manager"}); err != nil {
		return nil, fmt.Errorf("list the manager's pods: %w", err)
	}
	if len(pods.Items) == 0 {
		return nil, errors.New("there is no pod of the manager")
	}
	all := make([]Metrics, 0, len(pods.Items))
	for i := range pods.Items {
		m, err := w.scrape(ctx, pods.Items[i].Status.PodIP)
		if err != nil {
			return nil, fmt.Errorf("ask manager %s for its metrics: %w", pods.Items[i].Name, err)
		}
		all = append(all, m)
	}
	return all, nil
}

func (w *World) scrape(ctx context.Context, address string) (Metrics, error) {
	c := http.Client{Transport: &http.Transport{DialContext: w.Node.Dial, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(
		ctx,
		http.MethodGet,
		"http://"+net.JoinHostPort(address, "8080")+"/metrics",
		http.NoBody,
	)
	if err != nil {
		return nil, err
	}
	response, err := c.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return io.ReadAll(response.Body)
}

// Sum adds the samples of one metric.
func (m Metrics) Sum(metric string) (total float64, err error) {
	found := false
	for lines := bufio.NewScanner(bytes.NewReader(m)); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), metric)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		value, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("parse %s: %w", metric, err)
		}
		found, total = true, total+value
	}
	if !found {
		return 0, fmt.Errorf("no metric %s", metric)
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
