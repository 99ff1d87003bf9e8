// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/export/protocol"
)

// What the API server says to a snapshot or a temporary claim is told with a reason of its own, unless it passes.
func TestTemporaryRefused(t *testing.T) {
	t.Parallel()
	claims := schema.GroupResource{Resource: "persistentvolumeclaims"}
	leaving := apierrors.NewForbidden(claims, "s3export-e-1", errors.New("the namespace is being terminated"))
	leaving.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	restarts := apierrors.NewServiceUnavailable("later")
	for name, test := range map[string]struct {
		action protocol.Action
		err    error
		age    time.Duration
		reason v1alpha1.Reason
		says   string
		fails  bool
	}{
		"it was made":        {action: protocol.CreateSnapshot},
		"it was there":       {action: protocol.CreateSnapshot, err: apierrors.NewAlreadyExists(claims, "x")},
		"the namespace goes": {action: protocol.CreateTemporaryClaim, err: leaving},
		"a quota": {
			action: protocol.CreateTemporaryClaim,
			err:    apierrors.NewForbidden(claims, "x", errors.New("exceeded quota: small, requested: requests.storage=1Gi")),
			reason: v1alpha1.ReasonQuotaExceeded, says: "requests.storage=1Gi",
		},
		"a policy": {
			action: protocol.CreateSnapshot, err: apierrors.NewForbidden(claims, "x", errors.New("not on Sundays")),
			reason: v1alpha1.ReasonSnapshotRefused, says: "not on Sundays",
		},
		"a policy for claims": {
			action: protocol.CreateTemporaryClaim, err: apierrors.NewForbidden(claims, "x", errors.New("not on Sundays")),
			reason: v1alpha1.ReasonTemporaryClaimRefused, says: "It is tried again every 30s.",
		},
		"no such kind": {
			action: protocol.CreateSnapshot, err: &meta.NoKindMatchError{}, reason: v1alpha1.ReasonSnapshotsUnavailable,
		},
		"no such kind any more": {
			action: protocol.CreateSnapshot, err: apierrors.NewNotFound(claims, ""), reason: v1alpha1.ReasonSnapshotsUnavailable,
		},
		"a server that restarts": {action: protocol.CreateSnapshot, err: restarts, fails: true},
		"and does not come back": {
			action: protocol.CreateSnapshot, err: restarts, age: time.Hour,
			reason: v1alpha1.ReasonSnapshotRefused, says: "later",
		},
	} {
		now := time.Now()
		s := protocol.State{Now: now, Export: &v1alpha1.S3Export{}}
		s.Export.CreationTimestamp = metav1.NewTime(now.Add(-test.age))
		reason := v1alpha1.ReasonSnapshotRefused
		if test.action == protocol.CreateTemporaryClaim {
			reason = v1alpha1.ReasonTemporaryClaimRefused
		}
		d, err := temporaryRefused(s, protocol.Decision{Action: test.action}, reason, "it", test.err)
		if (err != nil) != test.fails || d.Reason != test.reason || !strings.Contains(d.Message, test.says) {
			t.Errorf("%s: decided %+v, error %v", name, d, err)
		}
		if refused := test.reason != "" || name == "the namespace goes"; (d.Action == protocol.Wait) != refused {
			t.Errorf("%s: the action is %s", name, d.Action)
		}
	}
}

// What the API server says to a removal is told, unless it passes.
func TestRemovalRefused(t *testing.T) {
	t.Parallel()
	claims := schema.GroupResource{Resource: "persistentvolumeclaims"}
	denied := apierrors.NewForbidden(claims, "x", errors.New("not on Sundays"))
	restarts := apierrors.NewInternalError(errors.New("the webhook did not answer"))
	ended := func(s *protocol.State) {
		s.Export.Status.CompletionTime = new(metav1.NewTime(s.Now.Add(-time.Second)))
		s.Export.CreationTimestamp = metav1.NewTime(s.Now.Add(-time.Hour))
	}
	old := func(s *protocol.State) { s.Export.CreationTimestamp = metav1.NewTime(s.Now.Add(-time.Hour)) }
	for name, test := range map[string]struct {
		err    error
		change func(*protocol.State)
		says   string
		fails  bool
	}{
		"it goes":                   {},
		"somebody wrote it":         {err: apierrors.NewConflict(claims, "x", errors.New("changed")), fails: true},
		"a policy":                  {err: denied, says: "did not let the manager delete it: "},
		"a policy that says why":    {err: denied, says: "not on Sundays"},
		"a webhook that restarts":   {err: restarts, fails: true},
		"of a run that just ended":  {err: restarts, change: ended, fails: true},
		"one that does not answer":  {err: restarts, change: old, says: "did not answer"},
		"it is tried again in time": {err: denied, says: "at least every 10m0s"},
	} {
		s := protocol.State{Now: time.Now(), Export: &v1alpha1.S3Export{}}
		s.Export.CreationTimestamp = metav1.NewTime(s.Now)
		if test.change != nil {
			test.change(&s)
		}
		d, err := removalRefused(s, protocol.Decision{Action: protocol.DeleteTemporaryClaim}, "delete it", test.err)
		if (err != nil) != test.fails || !strings.Contains(d.Remains, test.says) || (d.Remains == "") != (test.says == "") {
			t.Errorf("%s: decided %+v, error %v", name, d, err)
		}
		if refused := test.says != ""; (d.Action == protocol.Wait) != refused || refused && d.Recheck != 30*time.Second {
			t.Errorf("%s: %s, again in %s", name, d.Action, d.Recheck)
		}
	}
}
