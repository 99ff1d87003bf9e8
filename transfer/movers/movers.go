// SPDX-License-Identifier: Apache-2.0

// Package movers reads, makes and deletes the mover pods of runs, and looks who uses their claims. What is decided
// on that is not its business.
package movers

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// Read is a pod, or nil where there is none.
func Read(ctx context.Context, from client.Reader, namespace, name string) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	err := from.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, pod)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // No pod is an answer.
	case err != nil:
		return nil, fmt.Errorf("read pod %s: %w", name, err)
	}
	return pod, nil
}

// Claim is nil where there is none.
func Claim(ctx context.Context, from client.Reader, namespace, name string) (*corev1.PersistentVolumeClaim, error) {
	claim := &corev1.PersistentVolumeClaim{}
	err := from.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, claim)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // No claim is an answer.
	case err != nil:
		return nil, fmt.Errorf("read claim: %w", err)
	}
	return claim, nil
}

// Pods are all pods of a namespace, from the API server's own cache: to be a moment late does no harm, and pods
// are many.
func Pods(ctx context.Context, live client.Reader, namespace string) ([]corev1.Pod, error) {
	var pods corev1.PodList
	cached := &client.ListOptions{Namespace: namespace, Raw: &metav1.ListOptions{ResourceVersion: "0"}}
	if err := live.List(ctx, &pods, cached); err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	return pods.Items, nil
}

// UnusableError is a pod of the name that a run needs, of which no watch of ours will tell.
type UnusableError struct {
	Reason  v1alpha1.Reason
	Message string
}

func (e *UnusableError) Error() string { return e.Message }

// Clients write, and read what a cache may not show yet.
type Clients struct {
	Write client.Writer
	Live  client.Reader
}

// Create makes a pod, and proves that our watch shows it. One that is there already is asked for live. The run is
// named as people know it, such as "export".
func (c Clients) Create(ctx context.Context, pod *corev1.Pod, run string, owned func(*corev1.Pod) bool) error {
	switch err := c.Write.Create(ctx, pod); {
	case apierrors.IsAlreadyExists(err):
		if err := c.Live.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			return client.IgnoreNotFound(err) //nolint:wrapcheck // The caller reads the API server's status.
		}
	case err != nil:
		return err //nolint:wrapcheck // As above.
	}
	switch {
	case !owned(pod):
		return &UnusableError{v1alpha1.ReasonMoverRefused, fmt.Sprintf(
			"A pod named %s exists that was not made for this %s. Delete it; the %s then goes on.", pod.Name, run, run)}
	case pod.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy:
		return &UnusableError{v1alpha1.ReasonLabelsChanged, fmt.Sprintf(
			"Label %s of pod %s must be %q: an admission policy or webhook changed it, so that its end is not seen. Exempt "+
				"objects with that label from that policy, then `kubectl delete pod %s`.",
			v1alpha1.LabelManagedBy, pod.Name, v1alpha1.ManagedBy, pod.Name)}
	}
	return nil
}

// Uncounted tells of an S3Export that its mover is complete, and that its status does not say so yet.
func Uncounted(live client.Reader) func(context.Context, *v1alpha1.S3Export) (bool, error) {
	return func(ctx context.Context, e *v1alpha1.S3Export) (bool, error) {
		pod, err := Read(ctx, live, e.Namespace, moverpod.ExportName(string(e.UID)))
		if pod == nil || err != nil || types.UID(pod.Labels[v1alpha1.LabelExportUID]) != e.UID {
			return false, err // A pod of the name that is somebody else's is no mover.
		}
		r, over := moverpod.Ending(pod)
		return over && r.Class == wire.Done && e.Status.EndedMover != string(pod.UID), nil
	}
}

// Delete removes this very pod.
func Delete(ctx context.Context, c client.Client, pod *corev1.Pod) error {
	err := c.Delete(ctx, pod, client.Preconditions{UID: &pod.UID})
	return client.IgnoreNotFound(err) //nolint:wrapcheck // The caller names the action.
}

// Passing errors are those of an API server, or a webhook, that restarts or is overloaded; and of one
// whose admission does not know a kind of ours yet, which was defined a moment ago.
func Passing(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || apierrors.IsForbidden(err) && strings.Contains(err.Error(), "cannot find RESTMapping") {
		return true
	}
	return apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsUnexpectedServerError(err) ||
		apierrors.IsConflict(err)
}

// wordsLimit bounds what is repeated of an API server's answer, in bytes.
const wordsLimit = 600

// Words are an error on one line of bounded length.
func Words(err error) string {
	text := strings.TrimRight(strings.Join(strings.Fields(err.Error()), " "), ". ")
	if len(text) > wordsLimit {
		text = strings.ToValidUTF8(text[:wordsLimit], "") + "…"
	}
	return text
}
