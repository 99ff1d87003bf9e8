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
