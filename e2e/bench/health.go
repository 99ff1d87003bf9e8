// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// promise is what is told of a claim that was filled from the one small object.
type promise struct {
	bytes  int
	digest string
}

// checkClaims fails unless there are n claims that are bound, say that they are populated, and
// whose imports and volumes tell of the bytes and the digest that the source has.
func (b *bench) checkClaims(ctx context.Context, namespace string, n int, p promise) error {
	var claims corev1.PersistentVolumeClaimList
	var imports v1alpha1.S3ImportList
	var volumes corev1.PersistentVolumeList
	in := client.InNamespace(namespace)
	if err := errors.Join(b.world.Client.List(ctx, &claims, in), b.world.Client.List(ctx, &imports, in),
		b.world.Client.List(ctx, &volumes)); err != nil {
		return fmt.Errorf("list what is to be checked: %w", err)
	}
	runs, filled := map[string]v1alpha1.S3ImportStatus{}, map[string]corev1.PersistentVolume{}
	for _, i := range imports.Items {
		runs[i.Labels[v1alpha1.LabelClaimUID]] = i.Status
	}
	for _, v := range volumes.Items {
		filled[v.Name] = v
	}
	if len(claims.Items) != n {
		return fmt.Errorf("namespace %s has %d claims, want %d", namespace, len(claims.Items), n)
	}
	var errs []error
	for _, c := range claims.Items {
		if wrong := p.broken(&c, runs[string(c.UID)], filled[c.Spec.VolumeName]); len(wrong) > 0 {
			errs = append(errs, fmt.Errorf("claim %s/%s: %s", c.Namespace, c.Name, strings.Join(wrong, ", ")))
		}
	}
	return errors.Join(errs...)
}

// checkSoon is for claims that were seen Bound a moment ago: the manager tells of it next.
func (b *bench) checkSoon(ctx context.Context, namespace string, n int, p promise) (err error) {
	const soon = 20
	for range soon {
		if err = b.checkClaims(ctx, namespace, n, p); err == nil {
			return nil
		}
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
	return err
}

// broken is what of a claim is not as it was promised.
func (p promise) broken(
	c *corev1.PersistentVolumeClaim,
	run v1alpha1.S3ImportStatus,
	v corev1.PersistentVolume,
) []string {
	var wrong []string
	if c.Status.Phase != corev1.ClaimBound {
		wrong = append(wrong, "it is "+string(c.Status.Phase))
	}
	if !slices.ContainsFunc(c.Status.Conditions, func(c corev1.PersistentVolumeClaimCondition) bool {
		return c.Type == v1alpha1.ConditionPopulated && c.Status == corev1.ConditionTrue
	}) {
		wrong = append(wrong, "its condition does not say that it is populated")
	}
	if run.Phase != v1alpha1.ImportSucceeded || run.Progress == nil || run.Progress.Bytes.Done != int64(p.bytes) {
		wrong = append(
			wrong,
			fmt.Sprintf("its import is %s with progress %+v, want %d bytes", run.Phase, run.Progress, p.bytes),
		)
	}
	if p.digest == "" || run.ManifestDigest != p.digest || v.Annotations[v1alpha1.AnnotationManifestDigest] != p.digest {
		wrong = append(wrong, fmt.Sprintf("the digest is %q of its import, %q on its volume, want %q",
			run.ManifestDigest, v.Annotations[v1alpha1.AnnotationManifestDigest], p.digest))
	}
	if v.Annotations[v1alpha1.AnnotationPopulatedFor] != string(c.UID) {
		wrong = append(wrong, "its volume does not say that it was filled for it")
	}
	return wrong
}

// noteWarnings counts the manager's Warning events of this moment; those of a namespace go
// with it.
func (b *bench) noteWarnings(ctx context.Context) error {
	var all corev1.EventList
	if err := b.world.Client.List(ctx, &all); err != nil {
		return fmt.Errorf("list events: %w", err)
	}
	for i := range all.Items {
		if e := &all.Items[i]; warnsOfUs(e) {
			if b.warned[e.UID] == 0 {
				fmt.Fprintf(b.out, "  the manager warned: %s: %s\n", e.Reason, e.Message)
			}
			b.warned[e.UID] = told(e)
			if e.Reason != string(v1alpha1.ReasonMoverPending) {
				b.butPending[e.UID] = told(e)
			}
		}
	}
	return nil
}

func warnsOfUs(e *corev1.Event) bool {
	return e.Type == corev1.EventTypeWarning &&
		(e.ReportingController == story.ManagerName || e.Source.Component == story.ManagerName)
}

// told is how often an event was, in whichever API.
func told(e *corev1.Event) int {
	n := max(1, int(e.Count))
	if e.Series != nil {
		n = max(n, int(e.Series.Count))
	}
	return n
}

func sum(counts map[types.UID]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// health puts what the manager took and what went wrong into the figures. A replica that was
// restarted or panicked is an error.
func (b *bench) health(ctx context.Context, f figures) error {
	if err := b.noteWarnings(ctx); err != nil {
		return err
	}
	now, err := b.manager(ctx)
	if err != nil {
		return err
	}
	f["rss_mb"], f["reconcile_errors"], f["warnings"] = now.rssMB, b.past.errors+now.errors, sum(b.warned)
	f["failed_writes"], f["warnings_but_pending"] = b.past.failedWrites+now.failedWrites, sum(b.butPending)
	if _, err := now.since(b.replicas); err != nil {
		return err
	}
	return b.world.ManagerWell()
}
