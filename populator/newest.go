// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/fromexport"
	"github.com/s3populator/s3populator/populator/protocol"
)

// request is what the API server says is asked for now: our caches may be older, and after
// a restart older than what an earlier life of ours has acted on. Without a source the
// latest request stands.
func (r *Reconciler) request(
	ctx context.Context,
	s protocol.State,
) (*v1alpha1.S3Source, *corev1.PersistentVolumeClaim, error) {
	claim, err := r.unbound(ctx, s.Claim)
	if err != nil {
		return nil, nil, err
	}
	source, err := find(ctx, r.Live, key(claim, claim.Spec.DataSourceRef.Name), &v1alpha1.S3Source{})
	source, unresolved := resolved(source)
	if unresolved != nil {
		return nil, nil, errStale
	}
	return source, claim, err
}

// resolved is the source with the prefix of the export that it names, or the source where that has not been found.
func resolved(source *v1alpha1.S3Source) (found, unresolved *v1alpha1.S3Source) {
	if source == nil {
		return nil, nil
	}
	if effective, ok := fromexport.Effective(source); ok {
		return effective, nil
	}
	return nil, source
}

// rebind hands the volume over, if it holds what is asked for at this moment and its prime
// lives. The patch is guarded by the volume's resourceVersion: a prime that goes after this
// look changes its volume, and until it did, the PV controller has not reclaimed it.
func (r *Reconciler) rebind(ctx context.Context, s protocol.State) error {
	source, claim, err := r.request(ctx, s)
	if err != nil {
		return err
	}
	if protocol.ResultOutdated(s.Prime, source, claim) {
		return errStale
	}
	if err := r.primeLives(ctx, s); err != nil {
		return err
	}
	return r.patchVolume(ctx, s.PrimeVolume, func() ([]byte, error) { return protocol.RebindPatch(s) })
}

// primeLives asks the API server whether the prime is the one we saw, filled and here to stay.
func (r *Reconciler) primeLives(ctx context.Context, s protocol.State) error {
	live := &corev1.PersistentVolumeClaim{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(s.Prime), live); err != nil {
		return staleIfGone(err)
	}
	if live.UID != s.Prime.UID || live.DeletionTimestamp != nil || !protocol.Filled(live) ||
		live.Spec.VolumeName != s.PrimeVolume.Name {
		return errStale
	}
	return nil
}

// recordEdit remembers that a mover is ended because the request changed, if it did.
func (r *Reconciler) recordEdit(ctx context.Context, s protocol.State) error {
	source, claim, err := r.request(ctx, s)
	if err != nil {
		return err
	}
	if protocol.Outdated(s.Mover, source, claim) == "" {
		return errStale
	}
	return r.annotatePrime(
		ctx,
		s.Prime,
		v1alpha1.AnnotationAttempts,
		protocol.ReadAttempts(s.Prime).Superseded(s.Mover, s.Now),
		nil,
	)
}

// replacePrime deletes a prime whose volume the claim shall not get, if the API server
// agrees: the prime is the one we saw, and what is asked for is what we decided on.
func (r *Reconciler) replacePrime(ctx context.Context, s protocol.State) error {
	source, claim, err := r.request(ctx, s)
	if err != nil {
		return err
	}
	if source == nil || protocol.RequestHash(source, claim) != protocol.RequestHash(s.Source, s.Claim) {
		return errStale
	}
	return staleIfGone(r.deletePrime(ctx, s.Prime))
}

// rememberSize writes the size of the next prime onto the claim, because the prime that
// was too small is deleted next.
func (r *Reconciler) rememberSize(ctx context.Context, s protocol.State) error {
	patch, err := protocol.NextPrimePatch(s.Claim, protocol.Grown(s))
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	return staleIfGone(r.Patch(ctx, s.Claim.DeepCopy(), client.RawPatch(types.MergePatchType, patch)))
}
