// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"errors"
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

// stop scales the manager to nothing and waits until no process of it is left.
func (r Release) stop(ctx context.Context) error {
	d, err := r.deployment(ctx)
	if err != nil || d == nil {
		return err
	}
	if err := r.scale(ctx, d, 0, strconv.Itoa(int(replicas(d)))); err != nil {
		return err
	}
	// The release may stay all the same: whoever interrupts Helm does not end the Job.
	r.say("stopping the manager; to start it again: %s", r.command(replicas(d)))
	until := time.Now().Add(r.StopPatience) //nolint:forbidigo // Only compared.
	for {
		pods, err := r.pods(ctx, d)
		if err != nil || len(pods) == 0 {
			return err
		}
		if time.Now().After(until) { //nolint:forbidigo // Only compared.
			return fmt.Errorf("pod %s of the manager does not end; nothing was released", pods[0].Name)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the manager to end: %w", context.Cause(ctx))
		case <-time.After(r.Every):
		}
	}
}

// pods of the manager.
func (r Release) pods(ctx context.Context, d *appsv1.Deployment) ([]corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("read the Deployment of the manager: %w", err)
	}
	var pods corev1.PodList
	ours := client.MatchingLabelsSelector{Selector: selector}
	if err := r.Client.List(ctx, &pods, client.InNamespace(r.Namespace), ours); err != nil {
		return nil, fmt.Errorf("list the pods of the manager: %w", err)
	}
	return pods.Items, nil
}

// deployment of the manager; nil where there is none.
func (r Release) deployment(ctx context.Context) (*appsv1.Deployment, error) {
	d := &appsv1.Deployment{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: r.Deployment}, d)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // As it says.
	}
	if err != nil {
		return nil, fmt.Errorf("read the Deployment of the manager: %w", err)
	}
	return d, nil
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

// errOff means that the manager was stopped and could not be started again.
var errOff = errors.New("the manager may be stopped")

// start lets the manager run as before, where we or an earlier try have stopped it. It tries that for a while, because
// nobody else would.
func (r Release) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.StartPatience)
	defer cancel()
	for {
		err := r.startOnce(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w. Start it: %s", errOff, err, r.command(2))
		case <-time.After(r.Every):
		}
	}
}

// command by which an administrator starts the manager.
func (r Release) command(replicas int32) string {
	return fmt.Sprintf("kubectl -n %s scale deployment %s --replicas=%d", r.Namespace, r.Deployment, replicas)
}

func (r Release) startOnce(ctx context.Context) error {
	d, err := r.deployment(ctx)
	if err != nil || d == nil || d.Annotations[v1alpha1.AnnotationReplicas] == "" {
		return err
	}
	r.say("starting the manager again")
	return r.scale(ctx, d, replicas(d), "") // Not what somebody has changed since.
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
