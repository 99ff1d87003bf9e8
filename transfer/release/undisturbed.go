// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// errStarted means that the manager did not stay stopped.
var errStarted = errors.New("somebody started the manager meanwhile, which holds claims again. " +
	"Keep GitOps and autoscalers from that, and uninstall again")

// undisturbed looks once more when all is released: where the manager ran meanwhile, it has put finalizers back that
// nobody takes off afterwards.
func (r Release) undisturbed(ctx context.Context) error {
	d, err := r.deployment(ctx)
	if err != nil {
		return err
	}
	if d != nil {
		switch pods, err := r.pods(ctx, d); {
		case err != nil:
			return err
		case ptr.Deref(d.Spec.Replicas, 1) != 0:
			return fmt.Errorf("%w: its Deployment has %d replicas", errStarted, ptr.Deref(d.Spec.Replicas, 1))
		case len(pods) > 0:
			return fmt.Errorf("%w: there is pod %s", errStarted, pods[0].Name)
		}
	}
	if held, err := r.unsafe(ctx); err != nil || len(held) > 0 {
		return unsafe(held, err)
	}
	return each(ctx, r.Client, &corev1.PersistentVolumeClaimList{}, func(o client.Object) error {
		if isHeld(o, v1alpha1.FinalizerFinalExport) {
			return fmt.Errorf("%w: claim %s/%s is held", errStarted, o.GetNamespace(), o.GetName())
		}
		return nil
	})
}
