// SPDX-License-Identifier: Apache-2.0

package final

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// What keeps a claim from going is told on it, also when it is somebody else's webhook that is down; what
// passes by itself is tried again.
func TestRefusals(t *testing.T) {
	claims := schema.GroupResource{Resource: "persistentvolumeclaims"}
	leaving := apierrors.NewForbidden(claims, "x", errors.New("the namespace is being terminated"))
	leaving.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for name, tt := range map[string]struct {
		err    error
		reason v1alpha1.Reason // Empty: it is tried again, with back-off or at once.
		stale  bool
	}{
		"forbidden": {
			err:    apierrors.NewForbidden(claims, "x", errors.New("denied by policy")),
			reason: v1alpha1.ReasonExportClaimRefused,
		},
		"a quota": {
			err:    apierrors.NewForbidden(claims, "x", errors.New("exceeded quota: storage")),
			reason: v1alpha1.ReasonQuotaExceeded,
		},
		"invalid": {
			err:    apierrors.NewBadRequest("the request is malformed"),
			reason: v1alpha1.ReasonExportClaimRefused,
		},
		"a webhook that does not answer": {
			err:    apierrors.NewInternalError(errors.New(`failed calling webhook "check.example.com"`)),
			reason: v1alpha1.ReasonExportClaimRefused,
		},
		"the namespace goes":      {err: leaving, stale: true},
		"it is there already":     {err: apierrors.NewAlreadyExists(claims, "x"), stale: true},
		"the API server is away":  {err: apierrors.NewServiceUnavailable("starting")},
		"the API server is slow":  {err: apierrors.NewTimeoutError("slow", 1)},
		"it is asked too often":   {err: apierrors.NewTooManyRequests("slow down", 1)},
		"no answer comes from it": {err: errors.New("connection refused")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusing := interceptor.NewClient(fake.NewFakeClient(), interceptor.Funcs{
				Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return tt.err },
			})
			r := &Reconciler{Client: refusing, Live: refusing}
			d, err := r.act(t.Context(), world(), Decision{Action: CreateExportClaim})
			switch {
			case tt.reason != "":
				if err != nil || d.Action != Wait || d.Reason != tt.reason || d.Recheck == 0 ||
					!strings.Contains(d.Message, howToSkip) {
					t.Errorf("decided %+v, error %v; want to wait for %s, and the way out", d, err, tt.reason)
				}
			case err == nil || stale(err) != tt.stale:
				t.Errorf("decided %+v, error %v; want one that is stale: %t", d, err, tt.stale)
			}
		})
	}
}

// A volume is taken only when the API server, and not only our watch, tells of no attachment: a process on a
// node that was cut off may go on writing.
func TestATakeAsksForAttachments(t *testing.T) {
	for name, tt := range map[string]struct {
		volume string
		taken  bool
	}{
		"of the volume":     {"pv", false},
		"of another volume": {"other", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := world(exportClaimPending)
			attachment := &storagev1.VolumeAttachment{ObjectMeta: metav1.ObjectMeta{Name: "csi-1"}}
			attachment.Spec.Source.PersistentVolumeName = &tt.volume
			patched := false
			there := fake.NewClientBuilder().WithScheme(schemeOf(t)).WithObjects(attachment).Build()
			api := interceptor.NewClient(there, interceptor.Funcs{
				Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
					patched = true
					return nil
				},
			})
			r := &Reconciler{Client: api, Live: api}
			if _, err := r.act(t.Context(), s, Decision{Action: TakeVolume}); (err == nil) != tt.taken || patched != tt.taken {
				t.Errorf("the volume was taken: %t, error %v; want %t", patched, err, tt.taken)
			}
		})
	}
}
