// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// wordsLimit bounds what is repeated of an API server's answer, in bytes.
const wordsLimit = 600

// unusableError is a pod of the name that we need, of which no watch of ours will tell.
type unusableError struct {
	reason  v1alpha1.Reason
	message string
}

func (e *unusableError) Error() string { return e.message }

// create makes the pod, and proves that our watch shows it: a policy may take the label off
// by which it is watched. One that is there already is asked for live.
func (r *Reconciler) create(ctx context.Context, s state) error {
	pod, err := r.pod(s)
	if err != nil {
		return err
	}
	switch err := r.Create(ctx, pod); {
	case apierrors.IsAlreadyExists(err):
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			return client.IgnoreNotFound(err) //nolint:wrapcheck // refused reads the API server's status.
		}
	case err != nil:
		return err //nolint:wrapcheck // refused reads the API server's status.
	}
	return usable(pod, s.Source)
}

func usable(pod *corev1.Pod, source *v1alpha1.S3Source) error {
	switch has, ok := pod.Labels[v1alpha1.LabelManagedBy]; {
	case !metav1.IsControlledBy(pod, source):
		return &unusableError{v1alpha1.ReasonInventoryRefused, fmt.Sprintf(
			"A pod named %s exists that was not made for this source. Delete it; the source is then listed within %s.",
			pod.Name,
			refusalDelay,
		)}
	case has != v1alpha1.ManagedBy:
		is := "has none"
		if ok {
			is = fmt.Sprintf("has %q", has)
		}
		return &unusableError{v1alpha1.ReasonLabelsChanged, fmt.Sprintf(
			"Label %s of pod %s must be %q, but it %s: an admission policy or webhook changed it, so that its result is not "+
				"seen. "+
				"Exempt objects with the label %s=%s from that policy, then `kubectl delete pod %s`; it is made again within %s.",
			v1alpha1.LabelManagedBy, pod.Name, v1alpha1.ManagedBy, is, v1alpha1.LabelManagedBy, v1alpha1.ManagedBy, pod.Name,
			refusalDelay)}
	}
	return nil
}

// refused tells the user of the source what the API server said to a write. What mostly
// passes by itself is told only where it lasts, and where no verdict stands that it would
// replace: an error leaves the pace to controller-runtime until then.
func refused(s state, d decision, what string, err error) (decision, error) {
	no := decision{
		Action:  wait,
		Status:  metav1.ConditionUnknown,
		Reason:  v1alpha1.ReasonInventoryRefused,
		Recheck: refusalDelay,
	}
	var unusable *unusableError
	switch {
	case err == nil:
		return d, nil
	case errors.As(err, &unusable):
		no.Reason, no.Message = unusable.reason, unusable.message
		return no, nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return decision{Action: wait}, nil
	case apierrors.IsConflict(err):
		return d, err
	case passing(err) && told(s.Source):
		return decision{Action: wait, Recheck: refusalDelay}, nil
	case passing(err) && s.Now.Sub(s.Source.CreationTimestamp.Time) < podPatience:
		return d, err
	}
	no.Message = fmt.Sprintf(
		"The API server did not let the manager %s: %s. It is tried again every %s.",
		what,
		words(err),
		refusalDelay,
	)
	return no, nil
}

// passing errors are those of an API server, or a webhook, that restarts or is overloaded; and
// of one whose admission does not know S3Source yet, which was defined a moment ago.
func passing(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || apierrors.IsForbidden(err) && strings.Contains(err.Error(), "cannot find RESTMapping") {
		return true
	}
	return apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsUnexpectedServerError(err)
}

// words are an error on one line of bounded length.
func words(err error) string {
	text := strings.TrimRight(strings.Join(strings.Fields(err.Error()), " "), ". ")
	if len(text) > wordsLimit {
		text = strings.ToValidUTF8(text[:wordsLimit], "") + "…"
	}
	return text
}
