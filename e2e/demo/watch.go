// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// until looks again at every change in the cluster, until it is as wanted.
func (d *demo) until(ctx context.Context, what string, look func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		changed := d.world.Seen.Changed()
		if done, err := look(); err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %s for %s: %w", patience, what, context.Cause(ctx))
		case <-changed:
		}
	}
}

// awaitBound shows every change of the claim and of its import until the claim is Bound
// and says that it is populated.
func (d *demo) awaitBound(ctx context.Context) (*corev1.PersistentVolumeClaim, error) {
	claim := &corev1.PersistentVolumeClaim{}
	last := ""
	err := d.until(ctx, "the claim to be Bound", func() (bool, error) {
		if err := d.world.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: claimName}, claim); err != nil {
			return false, fmt.Errorf("read claim: %w", err)
		}
		c := populated(claim)
		line := fmt.Sprintf("claim %-7s  %s", claim.Status.Phase, d.importLine(ctx, c.Reason))
		if line != last {
			last = line
			d.step(line)
		}
		if c.Status == corev1.ConditionFalse {
			return false, fmt.Errorf("the claim cannot be populated: %s: %s", c.Reason, c.Message)
		}
		return claim.Status.Phase == corev1.ClaimBound && c.Status == corev1.ConditionTrue, nil
	})
	return claim, err
}

// importLine is what `kubectl get s3imports` would show, or what the claim waits for.
func (d *demo) importLine(ctx context.Context, reason string) string {
	var all v1alpha1.S3ImportList
	if err := d.world.Client.List(ctx, &all, client.InNamespace(namespace)); err != nil || len(all.Items) == 0 ||
		all.Items[0].Status.Progress == nil {
		return reason
	}
	p := all.Items[0].Status.Progress
	line := fmt.Sprintf("%3d%%  %s objects  %s bytes", p.Percent, p.Objects.Text, p.Bytes.Text)
	if p.Rate != "" {
		line += "  " + p.Rate
	}
	if p.ETA != "" {
		line += "  " + p.ETA + " left"
	}
	return line
}

func populated(claim *corev1.PersistentVolumeClaim) corev1.PersistentVolumeClaimCondition {
	for _, c := range claim.Status.Conditions {
		if c.Type == v1alpha1.ConditionPopulated {
			return c
		}
	}
	return corev1.PersistentVolumeClaimCondition{}
}

// timeline prints the claim's events in their order, as `kubectl describe pvc` would.
func (d *demo) timeline(ctx context.Context) error {
	var all corev1.EventList
	if err := d.world.Client.List(ctx, &all, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("list events: %w", err)
	}
	events := slices.DeleteFunc(all.Items, func(e corev1.Event) bool {
		return e.InvolvedObject.Kind != "PersistentVolumeClaim" || e.InvolvedObject.Name != claimName
	})
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return when(a).Compare(when(b)) })
	d.step("the claim's own story:")
	for _, e := range events {
		fmt.Fprintf(d.out, "         %s  %-7s  %-22s %s\n", when(e).Format(time.TimeOnly), e.Type, e.Reason, e.Message)
	}
	return nil
}

func when(e corev1.Event) time.Time {
	if !e.EventTime.IsZero() {
		return e.EventTime.Time
	}
	if !e.FirstTimestamp.IsZero() {
		return e.FirstTimestamp.Time
	}
	return e.CreationTimestamp.Time
}
