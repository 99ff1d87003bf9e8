// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/export/protocol"
)

// page is how many objects are held in memory at once.
const page = 500

// each visits all objects of a kind, page by page.
func each(ctx context.Context, c client.Reader, list client.ObjectList, visit func(client.Object) error) error {
	for more := ""; ; {
		if err := c.List(ctx, list, client.Limit(page), client.Continue(more)); err != nil {
			return err //nolint:wrapcheck // The caller names the kind.
		}
		err := meta.EachListItem(list, func(o runtime.Object) error { return visit(o.(client.Object)) })
		if more = list.GetContinue(); err != nil || more == "" {
			return err //nolint:wrapcheck // It is of the visitor.
		}
	}
}

func isHeld(o client.Object, finalizer string) bool {
	return slices.Contains(o.GetFinalizers(), finalizer)
}

// releaseClaims takes the finalizer off claims that nobody deletes. One that is deleted just now is looked at again.
func (r Release) releaseClaims(ctx context.Context, off *released) error {
	count := 0
	err := each(ctx, r.Client, &corev1.PersistentVolumeClaimList{}, func(o client.Object) error {
		claim := o.(*corev1.PersistentVolumeClaim)
		if !isHeld(claim, v1alpha1.FinalizerFinalExport) {
			return nil
		}
		if claim.DeletionTimestamp != nil {
			return fmt.Errorf("%w: claim %s/%s is being deleted", errUnsafe, claim.Namespace, claim.Name)
		}
		changed := claim.DeepCopy()
		off.note(claim, &corev1.PersistentVolumeClaim{}, "claim", v1alpha1.FinalizerFinalExport)
		if err := r.drop(ctx, claim, changed, v1alpha1.FinalizerFinalExport); err != nil {
			return fmt.Errorf("release claim %s/%s: %w", claim.Namespace, claim.Name, err)
		}
		r.say("claim %s/%s is not exported before it goes any more", claim.Namespace, claim.Name)
		count++
		return nil
	})
	if err == nil {
		r.say("released %d claims", count)
	}
	return err
}

// releaseExports lets S3Exports go, whose uploads and temporaries nobody ends any more.
func (r Release) releaseExports(ctx context.Context, off *released) error {
	count := 0
	err := each(ctx, r.Client, &v1alpha1.S3ExportList{}, func(o client.Object) error {
		e := o.(*v1alpha1.S3Export)
		if !protocol.Guarded(e) {
			return nil
		}
		changed := e.DeepCopy()
		off.note(e, &v1alpha1.S3Export{}, "S3Export", v1alpha1.FinalizerExport)
		if err := r.drop(ctx, e, changed, v1alpha1.FinalizerExport); err != nil {
			return fmt.Errorf("release S3Export %s/%s: %w", e.Namespace, e.Name, err)
		}
		left := "multipart uploads may be open below " + e.Status.Location
		if protocol.Apart(e) {
			left += fmt.Sprintf(", and a claim or VolumeSnapshot s3export-%s may be there", e.UID)
		}
		r.say("S3Export %s/%s was not over: when it is deleted without the manager, %s", e.Namespace, e.Name, left)
		count++
		return nil
	})
	if err == nil {
		r.say("released %d S3Exports", count)
	}
	return err
}

// drop removes one finalizer, unless somebody has changed the object since: then it is decided anew.
func (r Release) drop(ctx context.Context, was, changed client.Object, finalizer string) error {
	for range 5 {
		changed.SetFinalizers(slices.DeleteFunc(changed.GetFinalizers(), func(f string) bool { return f == finalizer }))
		err := r.Client.Patch(ctx, changed, client.MergeFromWithOptions(was, client.MergeFromWithOptimisticLock{}))
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case !apierrors.IsConflict(err):
			return err //nolint:wrapcheck // The caller names the object.
		}
		uid, living := was.GetUID(), was.GetDeletionTimestamp() == nil
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(was), was); err != nil {
			return client.IgnoreNotFound(err) //nolint:wrapcheck // As above.
		}
		switch {
		case was.GetUID() != uid || !isHeld(was, finalizer):
			return nil
		case living && was.GetDeletionTimestamp() != nil && finalizer == v1alpha1.FinalizerFinalExport:
			return fmt.Errorf("%w: it is being deleted", errUnsafe)
		}
		changed = was.DeepCopyObject().(client.Object)
	}
	return fmt.Errorf("it is changed all the time")
}
