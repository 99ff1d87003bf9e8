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

// resolve keeps what is found, if the source is as it was observed. The API server is asked: a cache may show a run as
// complete whose objects are being removed, because no source had it. Where none is left, that is looked at again soon.
func (r *Reconciler) resolve(ctx context.Context, s state) error {
	var all v1alpha1.S3ExportList
	if err := r.Live.List(ctx, &all, client.InNamespace(s.Source.Namespace)); err != nil {
		return fmt.Errorf("list S3Exports: %w", err)
	}
	found, _ := fromexport.Find(s.Source, all.Items)
	if found == nil {
		return nil
	}
	kept, err := r.keep(ctx, s.Source, found)
	if err != nil {
		return client.IgnoreNotFound(err) //nolint:wrapcheck // A conflict must stay one.
	}
	return r.lookAgain(ctx, kept)
}

// keep writes which export a source reads; nil is none.
func (r *Reconciler) keep(
	ctx context.Context, source *v1alpha1.S3Source, export *v1alpha1.SourceExport,
) (*v1alpha1.S3Source, error) {
	changed := source.DeepCopy()
	changed.Status.FromExport = export
	guarded := client.MergeFromWithOptions(source, client.MergeFromWithOptimisticLock{})
	return changed, r.Status().Patch(ctx, changed, guarded) //nolint:wrapcheck // As above.
}

// lookAgain takes an export back that was marked to be removed before the source was seen to have it. Who removes marks
// first, and looks at the sources then; here it is written first, and looked at then: one of both sees the other.
func (r *Reconciler) lookAgain(ctx context.Context, source *v1alpha1.S3Source) error {
	var all v1alpha1.S3ExportList
	if err := r.Live.List(ctx, &all, client.InNamespace(source.Namespace)); err != nil {
		return fmt.Errorf("list S3Exports: %w", err)
	}
	found, _ := fromexport.Find(source, all.Items)
	if found != nil && found.UID == source.Status.FromExport.UID {
		return nil
	}
	_, err := r.keep(ctx, source, nil)
	return client.IgnoreNotFound(err) //nolint:wrapcheck // As above.
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
