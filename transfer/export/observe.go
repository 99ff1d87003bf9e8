// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/populator/queue"
	"github.com/s3populator/s3populator/transfer/attempts"
	"github.com/s3populator/s3populator/transfer/export/protocol"
	"github.com/s3populator/s3populator/transfer/movers"
)

// observe reads everything that a decision rests on. The export is nil where there is none.
func (r *Reconciler) observe(ctx context.Context, name types.NamespacedName) (protocol.State, error) {
	s := protocol.State{Now: r.Options.Now(), Started: r.Started}
	e := &v1alpha1.S3Export{}
	if err := r.Get(ctx, name, e); err != nil {
		return s, client.IgnoreNotFound(err) //nolint:wrapcheck // The cache has stopped.
	}
	s.Export = e
	s.Prefix, s.PrefixError = protocol.PrefixOf(e)
	var err error
	if s.Mover, err = movers.Read(ctx, r, e.Namespace, moverpod.ExportName(string(e.UID))); err != nil {
		return s, err
	}
	if err := r.job(ctx, &s); err != nil {
		return s, err
	}
	s.Deleted = r.seen.wasDeleted(&s)
	if s.Abort, err = movers.Read(ctx, r, e.Namespace, moverpod.AbortName(string(e.UID))); err != nil {
		return s, err
	}
	if s.Abort != nil && !protocol.OwnedBy(s.Abort, e) {
		s.Abort = nil // Somebody's; to make ours will tell.
	}
	if protocol.Over(e) || e.DeletionTimestamp != nil {
		r.seen.forget(name)
		err = errors.Join(r.claimOfOver(ctx, &s), r.temporary(ctx, &s), r.runsOfClaim(ctx, &s))
		return s, err
	}
	if err := r.vanished(ctx, &s); err != nil {
		return s, err
	}
	if err := r.others(ctx, &s); err != nil {
		return s, err
	}
	r.whyNoPods(ctx, &s)
	err = r.volume(ctx, &s)
	return s, err
}

// vanished is a mover, or a Job with all its pods, that was there and is gone.
func (r *Reconciler) vanished(ctx context.Context, s *protocol.State) (err error) {
	owned := func(p *corev1.Pod) bool { return protocol.OwnedBy(p, s.Export) }
	s.Vanished, err = r.seen.of.Vanished(client.ObjectKeyFromObject(s.Export), s.Mover, owned,
		func(last *corev1.Pod) (bool, error) {
			pod, err := movers.Read(ctx, r.Live, last.Namespace, last.Name)
			if pod != nil || err != nil || !protocol.Parted(s.Export) {
				return pod != nil, err //nolint:wrapcheck // It says what it did.
			}
			job, err := r.liveJob(ctx, client.ObjectKeyFromObject(last))
			return job != nil, err
		})
	return err //nolint:wrapcheck // As above.
}

// claimOfOver reads the claim of a run that is over where that keeps something: a pod, or the volume of another claim.
func (r *Reconciler) claimOfOver(ctx context.Context, s *protocol.State) (err error) {
	if e := s.Export; e.DeletionTimestamp == nil && (s.Mover != nil || protocol.BeforeDeletion(e)) {
		if s.Claim, err = r.claim(ctx, e); err == nil && s.Claim == nil && protocol.BeforeDeletion(e) {
			s.Taken, err = r.taken(ctx, e)
		}
	}
	return err
}

// taken asks the API server for the volume of a run before a deletion. One of an earlier version does not name it: it
// may be any.
func (r *Reconciler) taken(ctx context.Context, e *v1alpha1.S3Export) (bool, error) {
	name := e.Annotations[v1alpha1.AnnotationExportVolume]
	if name == "" {
		var all corev1.PersistentVolumeList
		if err := r.Live.List(ctx, &all); err != nil {
			return false, fmt.Errorf("list volumes: %w", err)
		}
		takes := func(v corev1.PersistentVolume) bool { return protocol.Takes(e, &v) }
		return slices.ContainsFunc(all.Items, takes), nil
	}
	volume := &corev1.PersistentVolume{}
	if err := r.Live.Get(ctx, types.NamespacedName{Name: name}, volume); err != nil {
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return false, fmt.Errorf("read volume %s: %w", name, err)
	}
	return protocol.Takes(e, volume), nil
}

// runsOfClaim are read for a run that expires: it may be the last one that had files.
func (r *Reconciler) runsOfClaim(ctx context.Context, s *protocol.State) error {
	if !protocol.Expires(s.Export) || s.Export.IsEmpty() {
		return nil
	}
	var all v1alpha1.S3ExportList
	claim := s.Export.Spec.ClaimName
	err := r.List(ctx, &all, client.InNamespace(s.Export.Namespace), client.MatchingFields{indexClaim: claim})
	if err != nil {
		return fmt.Errorf("list exports of claim %s: %w", claim, err)
	}
	s.Runs = all.Items
	return nil
}

// others are the runs of the namespace that this one has to do with, and any that has its place.
func (r *Reconciler) others(ctx context.Context, s *protocol.State) error {
	var all v1alpha1.S3ExportList
	if err := r.List(ctx, &all, client.InNamespace(s.Export.Namespace)); err != nil {
		return fmt.Errorf("list exports: %w", err)
	}
	s.Ahead = protocol.Ahead(s.Export, all.Items, protocol.PrefixOf)
	s.Runs = all.Items
	place := protocol.PlaceOf(s.Export)
	if place == "" {
		return nil
	}
	var there v1alpha1.S3ExportList
	if err := r.List(ctx, &there, client.MatchingFields{indexPlace: place}); err != nil {
		return fmt.Errorf("list exports of one place: %w", err)
	}
	s.Shared = protocol.Shared(s.Export, there.Items)
	return nil
}

// volume reads the claim and who uses it, from the API server: the cache has neither. While a mover
// has not ended, what was read is used for a while.
func (r *Reconciler) volume(ctx context.Context, s *protocol.State) error {
	if moves(s.Mover) && r.seen.recall(s) {
		return nil
	}
	e := s.Export
	claim, err := r.claim(ctx, e)
	if err != nil {
		return err
	}
	if claim != nil {
		s.Claim = claim
		pods, err := movers.Pods(ctx, r.Live, e.Namespace)
		if err != nil {
			return err //nolint:wrapcheck // It says what it did.
		}
		s.Users = protocol.Users(pods, claim.Name, e)
	}
	if err := r.temporary(ctx, s); err != nil {
		return err
	}
	r.seen.remember(s)
	return nil
}

// moves tells that a mover has not ended. Only such a one wakes its export often.
func moves(mover *corev1.Pod) bool { return mover != nil && !attempts.Ended(mover) }

func (r *Reconciler) claim(ctx context.Context, e *v1alpha1.S3Export) (*corev1.PersistentVolumeClaim, error) {
	return movers.Claim(ctx, r.Live, e.Namespace, e.Spec.ClaimName)
}

// turn asks the queue for a place when that is all that a mover still needs; nil is a place.
func (r *Reconciler) turn(ctx context.Context, s protocol.State) (*queue.Position, error) {
	if !protocol.WantsPlace(s, r.Options.Defaults) {
		r.Places.Leave(v1alpha1.RoleExport, client.ObjectKeyFromObject(s.Export))
		return nil, nil //nolint:nilnil // Whoever starts no mover does not wait for a place.
	}
	position, err := r.Places.Ask(ctx, protocol.PlaceFor(s.Export))
	if err != nil {
		return nil, fmt.Errorf("ask for a place: %w", err)
	}
	return position, nil
}
