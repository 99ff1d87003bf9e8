// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// sum adds the samples of one metric whose labels are wanted.
func sum(text []byte, metric string, want func(labels string) bool) (total float64, err error) {
	found := false
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), metric)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		at := strings.LastIndexByte(rest, ' ')
		if !want(rest[:at]) {
			continue
		}
		value, err := strconv.ParseFloat(rest[at+1:], 64)
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

// manager is the memory of the largest replica and the processor time of all.
func (b *bench) manager(ctx context.Context) (rssMB, cpuSeconds float64, err error) {
	var pods corev1.PodList
	if err := b.world.Client.List(ctx, &pods, client.InNamespace(story.SystemNamespace)); err != nil {
		return 0, 0, fmt.Errorf("list the manager's pods: %w", err)
	}
	all := func(string) bool { return true }
	for i := range pods.Items {
		text, err := b.scrape(ctx, pods.Items[i].Status.PodIP)
		if err != nil {
			return 0, 0, err
		}
		rss, err1 := sum(text, "process_resident_memory_bytes", all)
		cpu, err2 := sum(text, "process_cpu_seconds_total", all)
		if err := errors.Join(err1, err2); err != nil {
			return 0, 0, err
		}
		rssMB, cpuSeconds = max(rssMB, rss/1e6), cpuSeconds+cpu
	}
	return rssMB, cpuSeconds, nil
}

func (b *bench) scrape(ctx context.Context, address string) ([]byte, error) {
	c := http.Client{Transport: &http.Transport{DialContext: b.world.Node.Dial, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+":8080/metrics", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask the manager: %w", err)
	}
	response, err := c.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the manager: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	return io.ReadAll(response.Body)
}

// leftovers counts the primes and movers that are still there.
func (b *bench) leftovers(ctx context.Context, namespace string) (int, error) {
	ours := client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	var pods corev1.PodList
	var claims corev1.PersistentVolumeClaimList
	err := errors.Join(b.world.Client.List(ctx, &pods, client.InNamespace(namespace), ours), b.world.Client.List(ctx, &claims, client.InNamespace(namespace), ours))
	return len(pods.Items) + len(claims.Items), err
}

// warnings counts the manager's Warning events of the whole run.
func (b *bench) warnings(ctx context.Context) (n int, err error) {
	var all corev1.EventList
	if err := b.world.Client.List(ctx, &all); err != nil {
		return 0, fmt.Errorf("list events: %w", err)
	}
	for i := range all.Items {
		e := &all.Items[i]
		if e.Type == corev1.EventTypeWarning && e.ReportingController == story.ManagerName {
			n++
		}
	}
	return n, nil
}
