// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"fmt"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// stop scales the manager to nothing and waits until no process of it is left. It returns how many there were, also
// where an earlier try has stopped it.
func (r Release) stop(ctx context.Context) (before int32, err error) {
	d := &appsv1.Deployment{}
	err = r.Client.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: r.Deployment}, d)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the Deployment of the manager: %w", err)
	}
	before = replicas(d)
	if err := r.scale(ctx, d, 0, strconv.Itoa(int(before))); err != nil {
		return before, err
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return before, fmt.Errorf("read the Deployment of the manager: %w", err)
	}
	r.say("stopping the manager")
	until := time.Now().Add(r.StopPatience) //nolint:forbidigo // Only compared.
	for {
		var pods corev1.PodList
		ours := client.MatchingLabelsSelector{Selector: selector}
		if err := r.Client.List(ctx, &pods, client.InNamespace(r.Namespace), ours); err != nil {
			return before, fmt.Errorf("list the pods of the manager: %w", err)
		}
		if len(pods.Items) == 0 {
			return before, nil
		}
		if time.Now().After(until) { //nolint:forbidigo // Only compared.
			return before, fmt.Errorf("pod %s of the manager does not end; nothing was released", pods.Items[0].Name)
		}
		select {
		case <-ctx.Done():
			return before, fmt.Errorf("wait for the manager to end: %w", context.Cause(ctx))
		case <-time.After(r.Every):
		}
	}
}

// replicas that the manager had before it was stopped.
func replicas(d *appsv1.Deployment) int32 {
	n := int32(1)
	if d.Spec.Replicas != nil {
		n = *d.Spec.Replicas
	}
	if was, err := strconv.ParseInt(d.Annotations[v1alpha1.AnnotationReplicas], 10, 32); err == nil && n == 0 {
		n = int32(was)
	}
	return n
}

// start lets the manager run as before.
func (r Release) start(ctx context.Context, before int32) error {
	d := &appsv1.Deployment{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: r.Deployment}, d)
	if err != nil {
		return client.IgnoreNotFound(err) //nolint:wrapcheck // There is none to start.
	}
	if d.Annotations[v1alpha1.AnnotationReplicas] == "" {
		return nil // It was not stopped.
	}
	r.say("starting the manager again")
	return r.scale(ctx, d, before, "")
}

// scale also notes what was there before, for whoever has to start it again.
func (r Release) scale(ctx context.Context, d *appsv1.Deployment, to int32, before string) error {
	changed := d.DeepCopy()
	changed.Spec.Replicas = &to
	if changed.Annotations == nil {
		changed.Annotations = map[string]string{}
	}
	if changed.Annotations[v1alpha1.AnnotationReplicas] = before; before == "" {
		delete(changed.Annotations, v1alpha1.AnnotationReplicas)
	}
	if err := r.Client.Patch(ctx, changed, client.MergeFrom(d)); err != nil {
		return fmt.Errorf("scale the manager to %d: %w", to, err)
	}
	return nil
}
