// SPDX-License-Identifier: Apache-2.0

package prune

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/movers"
	"github.com/s3populator/s3populator/transfer/retention"
)

// A mark is believed whatever its policy says by then, because half of the objects may be gone. Where a mover has said
// that nothing is, and nobody would mark the run now, it is taken back: what is whole can be restored again.

// unwanted is why a run would not be marked now; empty where it would, or where nobody can tell. It is judged as
// package policy does that marks.
func (s state) unwanted() string {
	e := s.Export
	switch {
	case retention.PolicyOf(e) == nil:
		return "it does not belong to an S3ExportPolicy any more"
	case s.Policy == nil:
		return "" // What belongs to it goes with it, or is given up by it.
	case !s.Policy.Spec.PruneData:
		return fmt.Sprintf("spec.pruneData of S3ExportPolicy %s is false", s.Policy.Name)
	}
	if n, keep := s.newer(), max(int(s.Policy.Spec.Keep), 1); n < keep {
		return fmt.Sprintf("there are %d newer complete runs of its claim, and spec.keep of S3ExportPolicy %s is %d", n,
			s.Policy.Name, keep)
	}
	kept := retention.Beside(e, s.siblings())
	switch {
	case len(kept) == 0 || older(kept[0], e) < 0:
		return "no newer complete run of its claim is in its bucket"
	case kept[0].EmptierThan(e):
		return fmt.Sprintf("the newest run, %s, has no regular file, and this one has %d files", kept[0].Name, e.Files())
	case retention.NoFile(kept[0], e):
		return fmt.Sprintf("the newest run, %s, has no file, nor has this one, which may have links", kept[0].Name)
	}
	return retention.NeededBy(e, s.Sources, s.Runs)
}

// newer is how many runs of the same part of the claim are complete that began later.
func (s state) newer() int {
	n := 0
	for _, r := range s.siblings() {
		counts := retention.StateOf(r) == retention.Complete && !r.Spec.DryRun && !retention.Pruning(r) &&
			r.DeletionTimestamp == nil
		if counts && retention.PartOf(r) == retention.PartOf(s.Export) && older(s.Export, r) < 0 {
			n++
		}
	}
	return n
}

// giveUp takes the mark off a run that a mover has left whole, where nobody would mark it now.
func giveUp(s state, r wire.Report) (decision, bool) {
	why := s.unwanted()
	if !r.Whole || why == "" {
		return decision{}, false
	}
	return decision{
		Action: takeBack, Reason: v1alpha1.ReasonPruneGivenUp, Normal: true,
		Message: fmt.Sprintf("What S3Export %s has exported is not removed: %s. Nothing of it was, and it counts as "+
			"complete again.", s.Export.Name, why),
	}, true
}

// takeBack does so, and tells it, if the API server knows no other mover than the cache does: that one may have removed
// something.
func (r *Reconciler) takeBack(ctx context.Context, s state, d decision) error {
	now, err := movers.Read(ctx, r.Live, s.Export.Namespace, s.Mover.Name)
	if err != nil {
		return err //nolint:wrapcheck // It names the pod.
	}
	if now == nil || now.UID != s.Mover.UID || now.DeletionTimestamp != nil {
		return errStale
	}
	changed := s.Export.DeepCopy()
	delete(changed.Annotations, v1alpha1.AnnotationPruning)
	guarded := client.MergeFromWithOptions(s.Export, client.MergeFromWithOptimisticLock{})
	if err := r.Patch(ctx, changed, guarded); err != nil {
		return client.IgnoreNotFound(err) //nolint:wrapcheck // Reconcile names the action.
	}
	r.tell(s, d)
	return movers.Delete(ctx, r.Client, s.Mover) //nolint:wrapcheck // As above.
}

// policy reads the one that an export belongs to; nil where it belongs to none that is there.
func (r *Reconciler) policy(ctx context.Context, e *v1alpha1.S3Export) (*v1alpha1.S3ExportPolicy, error) {
	ref := retention.PolicyOf(e)
	if ref == nil {
		return nil, nil //nolint:nilnil // No policy is an answer.
	}
	p := &v1alpha1.S3ExportPolicy{}
	err := r.Get(ctx, types.NamespacedName{Namespace: e.Namespace, Name: ref.Name}, p)
	switch {
	case apierrors.IsNotFound(err), err == nil && (p.UID != ref.UID || p.DeletionTimestamp != nil):
		return nil, nil //nolint:nilnil // As above.
	case err != nil:
		return nil, fmt.Errorf("read S3ExportPolicy %s: %w", ref.Name, err)
	}
	return p, nil
}
