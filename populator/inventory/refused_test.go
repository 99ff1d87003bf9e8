// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// What the user can act on is told; what passes by itself is tried again in silence.
func TestRefused(t *testing.T) {
	t.Parallel()
	forbidden := func(why string) error {
		return apierrors.NewForbidden(corev1.Resource("pods"), "inventory-1", errors.New(why))
	}
	cases := map[string]struct {
		err    error
		reason v1alpha1.Reason
		again  bool // as an error, with back-off
	}{
		"made":                    {},
		"a policy":                {err: forbidden("violates PodSecurity"), reason: v1alpha1.ReasonInventoryRefused},
		"a quota":                 {err: forbidden("exceeded quota"), reason: v1alpha1.ReasonInventoryRefused},
		"an invalid pod":          {err: apierrors.NewBadRequest("no"), reason: v1alpha1.ReasonInventoryRefused},
		"a kind defined just now": {err: forbidden("cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion s3populator.io/v1alpha1 Kind S3Source"), again: true},
		"a server in trouble":     {err: apierrors.NewInternalError(errors.New("etcd")), again: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := refused(decision{}, c.err)
			if d.Reason != c.reason || (err != nil) != c.again {
				t.Errorf("got reason %q and error %v, want %q and an error: %v", d.Reason, err, c.reason, c.again)
			}
		})
	}
}
