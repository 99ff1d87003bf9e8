// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/fromexport"
)

// +kubebuilder:rbac:groups=s3populator.io,resources=s3exports,verbs=list;watch

// observeExport gives a source the prefix of the export that it names, or looks for that.
func (r *Reconciler) observeExport(ctx context.Context, s *state) error {
	effective, ok := fromexport.Effective(s.Source)
	if ok {
		s.Source = effective
		return nil
	}
	var all v1alpha1.S3ExportList
	if err := r.List(ctx, &all, client.InNamespace(s.Source.Namespace)); err != nil {
		return fmt.Errorf("list S3Exports: %w", err)
	}
	s.Found, s.Why = fromexport.Find(s.Source, all.Items)
	return nil
}

// resolve keeps what was found, if the source is as it was observed.
func (r *Reconciler) resolve(ctx context.Context, s state) error {
	changed := s.Source.DeepCopy()
	changed.Status.FromExport = s.Found
	guarded := client.MergeFromWithOptions(s.Source, client.MergeFromWithOptimisticLock{})
	return client.IgnoreNotFound(r.Status().Patch(ctx, changed, guarded)) //nolint:wrapcheck // A conflict must stay one.
}

// fromExport wakes the sources of a namespace that wait for an export. It lists from the cache, which fails only when
// the manager stops.
func (r *Reconciler) fromExport(ctx context.Context, o client.Object) (requests []reconcile.Request) {
	var all v1alpha1.S3SourceList
	if err := r.List(ctx, &all, client.InNamespace(o.GetNamespace())); err != nil {
		return nil
	}
	for i := range all.Items {
		if _, ok := fromexport.Effective(&all.Items[i]); !ok {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all.Items[i])})
		}
	}
	return requests
}
