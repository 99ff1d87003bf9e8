// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/retention"
)

// runsOf are the exports of each claim: those that need not be kept, oldest first, and the complete ones that stay,
// newest first. One whose objects are being removed counts for nothing.
func runsOf(s state) (gone []*v1alpha1.S3Export, kept map[string][]*v1alpha1.S3Export) {
	runs, byName := map[string][]retention.Run{}, map[string]*v1alpha1.S3Export{}
	for i := range s.Exports {
		e := &s.Exports[i]
		if retention.Pruning(e) || e.DeletionTimestamp != nil && s.Policy.Spec.PruneData {
			continue // Whoever deletes it may not want it to count.
		}
		runs[s.group(e)] = append(runs[s.group(e)], retention.RunOf(e))
		byName[e.Name] = e
	}
	kept = map[string][]*v1alpha1.S3Export{}
	for group, of := range runs {
		for _, name := range retention.Removable(of, int(s.Policy.Spec.Keep)) {
			gone = append(gone, byName[name])
		}
		for _, name := range retention.Kept(of, int(s.Policy.Spec.Keep)) {
			kept[group] = append(kept[group], byName[name])
		}
	}
	gone = slices.DeleteFunc(gone, func(e *v1alpha1.S3Export) bool { return e.DeletionTimestamp != nil })
	slices.SortFunc(gone, func(a, b *v1alpha1.S3Export) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	return gone, kept
}

// group are the exports among which some are kept: those of a claim. Where their objects go with them, those of the
// same part of it, because the newer ones of another part do not have what they have.
func (s state) group(e *v1alpha1.S3Export) string {
	claim := e.Labels[v1alpha1.LabelClaimUID]
	if s.Policy.Spec.PruneData {
		return claim + " " + retention.PartOf(e)
	}
	return claim
}

// withoutLast are those of some runs that go, but for the last of a claim that had files, where its S3Export alone
// would go. Where its objects would, prune tells why they do not.
func (s state) withoutLast(gone []*v1alpha1.S3Export) []*v1alpha1.S3Export {
	last := retention.LastsToRestore(s.Exports, s.group)
	return slices.DeleteFunc(gone, func(e *v1alpha1.S3Export) bool {
		return last[s.group(e)] == e && (!s.Policy.Spec.PruneData || !retention.HasOwnPrefix(e))
	})
}

// prune decides what becomes of each export that need not be kept, and returns what keeps some of them:
//
//	export                                          then
//	nothing is to be removed                        the export goes, but for the last one that had files
//	a source names it, or a run copies from it      it stays for as long
//	no run that stays is in its bucket              it stays, and that is told
//	it has regular files, the newest that stays     it stays, and that is told
//	has none, or it has links and that one nothing
//	the newest that stays has no file, nor has it   the export goes: links that were not counted stay in its manifest
//	another of its claim is marked                  it waits
//	another was marked a while ago at most          it waits
//	else                                            mark it: it is no complete run any more
//
// Package prune removes the objects of a run that is marked, and then its export.
func prune(d *decision, s state) string {
	gone, kept := runsOf(s)
	held, busy, stuck := beingPruned(d, s)
	for _, e := range s.withoutLast(gone) {
		if !s.Policy.Spec.PruneData || !retention.HasOwnPrefix(e) {
			d.Prune = append(d.Prune, e)
			continue
		}
		stay := retention.Beside(e, kept[s.group(e)])
		switch why := retention.NeededBy(e, s.Sources, s.Beside); {
		case why != "":
			held = append(held, fmt.Sprintf("S3Export %s: %s", e.Name, why))
			d.again(retention.SlowPrune) // Nothing tells that a source goes.
		case len(stay) == 0:
			held = append(held, fmt.Sprintf("S3Export %s: none of the runs of its claim that stay is in its bucket; delete it, "+
				"and its objects, if they are not needed", e.Name))
		case stay[0].EmptierThan(e): // A disk that is not mounted. A new run looks again.
			held = append(held, fmt.Sprintf("S3Export %s: the newest run, %s, has no regular file, and this one has %d files; "+
				"see that the volume is mounted and has its files, or delete the S3Export, and its objects, if they are not "+
				"needed",
				e.Name, stay[0].Name, e.Files()))
		case retention.NoFile(stay[0], e):
			d.Prune = append(d.Prune, e)
		case !busy && !stuck[e.Labels[v1alpha1.LabelClaimUID]]:
			d.Mark, d.Kept, busy = e, stay, true
		}
	}
	if len(held) == 0 {
		return ""
	}
	return " What older runs have exported is not removed for now: " + few(held) + "."
}

// beingPruned tells of runs that are marked, and of those that have been for long. These are stuck: somebody may have
// to correct something, and the runs of other claims do not wait for that.
func beingPruned(d *decision, s state) (held []string, busy bool, stuck map[string]bool) {
	stuck = map[string]bool{}
	for i := range s.Exports {
		e := &s.Exports[i]
		if !retention.Pruning(e) || e.DeletionTimestamp != nil {
			continue
		}
		if left := retention.PruneLeft(e, s.Now); left > 0 {
			busy = true
			d.again(left)
			continue
		}
		stuck[e.Labels[v1alpha1.LabelClaimUID]] = true
		held = append(held, fmt.Sprintf("S3Export %s: it is tried since %s, and its events say what keeps it", e.Name,
			retention.PruningSince(e).Format(time.RFC3339)))
	}
	return held, busy, stuck
}

// observePrunes reads who needs older runs.
func (r *Reconciler) observePrunes(ctx context.Context, s *state) error {
	if !s.Policy.Spec.PruneData {
		return nil
	}
	var all v1alpha1.S3ExportList
	if err := r.List(ctx, &all, client.InNamespace(s.Policy.Namespace)); err != nil {
		return fmt.Errorf("list S3Exports: %w", err)
	}
	var sources v1alpha1.S3SourceList
	if err := r.List(ctx, &sources); err != nil { // Of any namespace: they may read the same bucket.
		return fmt.Errorf("list S3Sources: %w", err)
	}
	s.Beside, s.Sources = all.Items, sources.Items
	return nil
}

// confirmPolicy asks for the policy. Its status may be another one by now.
func (r *Reconciler) confirmPolicy(ctx context.Context, policy *v1alpha1.S3ExportPolicy) error {
	now := &v1alpha1.S3ExportPolicy{}
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(policy), now)
	switch {
	case apierrors.IsNotFound(err):
		return errStale
	case err != nil:
		return fmt.Errorf("read the policy: %w", err)
	case now.UID != policy.UID, now.Generation != policy.Generation, now.DeletionTimestamp != nil:
		return errStale
	}
	return nil
}

// confirmRuns asks for the runs that stay, and for whoever needs the one that goes.
func (r *Reconciler) confirmRuns(ctx context.Context, d decision) error {
	var all v1alpha1.S3ExportList
	if err := r.Live.List(ctx, &all, client.InNamespace(d.Mark.Namespace)); err != nil {
		return fmt.Errorf("list S3Exports: %w", err)
	}
	there := map[types.UID]bool{}
	for i := range all.Items {
		e := &all.Items[i]
		there[e.UID] = e.DeletionTimestamp == nil && retention.HasOwnPrefix(e) && !retention.Pruning(e)
	}
	for _, e := range d.Kept {
		if !there[e.UID] {
			return errStale
		}
	}
	var sources v1alpha1.S3SourceList
	if err := r.Live.List(ctx, &sources); err != nil {
		return fmt.Errorf("list S3Sources: %w", err)
	}
	if retention.NeededBy(d.Mark, sources.Items, all.Items) != "" {
		return errStale
	}
	return nil
}

// mark ends that a run counts as complete, before anything of it is removed. It asks the API server, not a cache,
// whether the policy is what was decided on, and whether the runs that stay do.
func (r *Reconciler) mark(ctx context.Context, s state, d decision) error {
	if d.Mark == nil {
		return nil
	}
	if err := errors.Join(r.confirmPolicy(ctx, s.Policy), r.confirmRuns(ctx, d)); err != nil {
		return err
	}
	changed := d.Mark.DeepCopy()
	if changed.Annotations == nil {
		changed.Annotations = map[string]string{}
	}
	changed.Annotations[v1alpha1.AnnotationPruning] = retention.Mark(d.Mark, r.Now())
	guarded := client.MergeFromWithOptions(d.Mark, client.MergeFromWithOptimisticLock{})
	if err := client.IgnoreNotFound(r.Patch(ctx, changed, guarded)); err != nil {
		return fmt.Errorf("mark S3Export %s: %w", d.Mark.Name, err)
	}
	return nil
}
