// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/protocol"
)

// refusalDelay is how often a create is tried again that a quota, a limit range or an
// admission policy refused: nothing wakes us when those change.
const refusalDelay = 30 * time.Second

// act makes the one write of a decision. Writes that could lose data carry a UID or a
// resourceVersion, so that a stale view turns into a conflict, never into damage. The
// decision comes back changed where the API server's answer is the user's to act on.
func (r *Reconciler) act(ctx context.Context, s protocol.State, d protocol.Decision) (protocol.Decision, error) {
	if d.Action == protocol.Wait {
		return d, nil
	}
	write, known := r.writes()[d.Action]
	if !known {
		return d, fmt.Errorf("unknown action %q", d.Action)
	}
	return write(ctx, s, d)
}

// writing makes the one write of an action.
type writing func(context.Context, protocol.State, protocol.Decision) (protocol.Decision, error)

// writes has a row for each action but Wait.
func (r *Reconciler) writes() map[protocol.Action]writing {
	return map[protocol.Action]writing{
		protocol.CreatePrime:   r.createPrime,
		protocol.ReleaseNode:   alone(r.releaseNode),
		protocol.SelectNode:    alone(r.selectNode),
		protocol.StartConsumer: r.startConsumer,
		protocol.DeleteConsumer: alone(
			func(ctx context.Context, s protocol.State) error { return r.deletePod(ctx, s.Consumer) },
		),
		protocol.ReleaseVolume: alone(func(ctx context.Context, s protocol.State) error {
			return r.patchVolume(
				ctx,
				s.PrimeVolume,
				func() ([]byte, error) { return protocol.ReleasePatch(s.PrimeVolume, s.Claim) },
			)
		}),
		protocol.RememberPrime: alone(r.rememberPrime),
		protocol.MarkScratch: alone(func(ctx context.Context, s protocol.State) error {
			return r.patchVolume(ctx, s.PrimeVolume, func() ([]byte, error) { return protocol.ScratchPatch(s) })
		}),
		protocol.KeepVolume: alone(func(ctx context.Context, s protocol.State) error {
			return r.patchVolume(ctx, s.PrimeVolume, func() ([]byte, error) { return protocol.KeepPatch(s.PrimeVolume) })
		}),
		protocol.StartMover:    r.startMover,
		protocol.RecordFailure: alone(r.recordFailure),
		protocol.RecordFound:   alone(r.recordFound),
		protocol.DeleteMover:   alone(r.deleteMover),
		protocol.MarkPopulated: alone(r.markPopulated),
		protocol.Rebind:        alone(r.rebind),
		protocol.DeletePrime: alone(func(ctx context.Context, s protocol.State) error {
			return client.IgnoreNotFound(r.deletePrime(ctx, s.Prime))
		}),
		protocol.RecordEdit:   alone(r.recordEdit),
		protocol.RememberSize: alone(r.rememberSize),
		protocol.ReplacePrime: alone(r.replacePrime),
	}
}

// alone is a write whose answer changes nothing of what is said.
func alone(write func(context.Context, protocol.State) error) writing {
	return func(ctx context.Context, s protocol.State, d protocol.Decision) (protocol.Decision, error) {
		return d, write(ctx, s)
	}
}

func (r *Reconciler) recordFailure(ctx context.Context, s protocol.State) error {
	return r.annotatePrime(
		ctx,
		s.Prime,
		v1alpha1.AnnotationAttempts,
		protocol.ReadAttempts(s.Prime).After(s.Ended(), s.Now),
		nil,
	)
}

func (r *Reconciler) recordFound(ctx context.Context, s protocol.State) error {
	past := protocol.ReadAttempts(s.Prime).Found(s.Ended())
	return r.annotatePrime(ctx, s.Prime, v1alpha1.AnnotationAttempts, past, nil)
}

func (r *Reconciler) markPopulated(ctx context.Context, s protocol.State) error {
	return r.annotatePrime(ctx, s.Prime, v1alpha1.AnnotationResult, protocol.ResultOf(s),
		map[string]any{v1alpha1.AnnotationPopulated: string(s.Mover.UID)})
}

// createPrime asks the API server once more: a prime for a claim that is bound or gone
// would be a second volume for nothing.
func (r *Reconciler) createPrime(
	ctx context.Context,
	s protocol.State,
	d protocol.Decision,
) (protocol.Decision, error) {
	if err := r.stillUnbound(ctx, s.Claim); err != nil {
		return d, err
	}
	if err := r.nothingPromised(ctx, s); err != nil {
		return d, err
	}
	err := r.create(ctx, s.Claim, protocol.Prime(s, r.Options.CopiedAnnotations))
	return refused(d, err, v1alpha1.ReasonPrimeRefused, "The prime claim that the data is loaded into was refused")
}

// startMover asks the API server once more: a mover empties and fills its volume, which
// after the rebind is the user's, and which an earlier one may still write to.
func (r *Reconciler) startMover(ctx context.Context, s protocol.State, d protocol.Decision) (protocol.Decision, error) {
	live := &corev1.PersistentVolumeClaim{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(s.Prime), live); err != nil {
		return d, staleIfGone(err)
	}
	if live.UID != s.Prime.UID || live.DeletionTimestamp != nil || protocol.Filled(live) ||
		live.Spec.VolumeName != s.PrimeVolume.Name {
		return d, errStale
	}
	if err := r.detached(ctx, s); err != nil {
		return d, err
	}
	if err := r.forgetConsumer(ctx, s.PrimeVolume); err != nil {
		return d, fmt.Errorf("forget consumer: %w", err)
	}
	pod, err := protocol.Mover(s, r.Options.mover())
	if err != nil {
		return d, err
	}
	err = r.create(ctx, s.Claim, pod)
	if pod.UID != "" {
		r.movers.saw(client.ObjectKeyFromObject(s.Claim), pod)
	}
	return refused(d, err, v1alpha1.ReasonMoverRefused, "The pod that loads the data was refused")
}

// forgetConsumer comes before the first mover: from then on an attachment to the consumer's
// node may be the mover's.
func (r *Reconciler) forgetConsumer(ctx context.Context, volume *corev1.PersistentVolume) error {
	if _, ok := volume.Annotations[v1alpha1.AnnotationAttachedByConsumer]; !ok {
		return nil
	}
	return r.patchVolume(ctx, volume, func() ([]byte, error) { return protocol.ForgetConsumerPatch(volume) })
}

// startConsumer makes a pod that cannot write.
func (r *Reconciler) startConsumer(
	ctx context.Context,
	s protocol.State,
	d protocol.Decision,
) (protocol.Decision, error) {
	err := r.create(ctx, s.Claim, protocol.Consumer(s, r.Options.mover()))
	return refused(d, err, v1alpha1.ReasonMoverRefused, "The pod for which the volume is made was refused")
}

// rememberPrime writes to the claim what the next prime is made from.
func (r *Reconciler) rememberPrime(ctx context.Context, s protocol.State) error {
	patch, err := protocol.NextPrimePatch(s.Claim, protocol.NextAfterCapture(s))
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	return staleIfGone(r.Patch(ctx, s.Claim.DeepCopy(), client.RawPatch(types.MergePatchType, patch)))
}

// stillUnbound asks the API server whether the claim is the one we decided about.
func (r *Reconciler) stillUnbound(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	_, err := r.unbound(ctx, claim)
	return err
}

// unbound is the claim as the API server has it now, if it is the one we decided about.
func (r *Reconciler) unbound(
	ctx context.Context,
	claim *corev1.PersistentVolumeClaim,
) (*corev1.PersistentVolumeClaim, error) {
	live := &corev1.PersistentVolumeClaim{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(claim), live); err != nil {
		return nil, staleIfGone(err)
	}
	if live.UID != claim.UID || live.DeletionTimestamp != nil || live.Spec.VolumeName != "" {
		return nil, errStale
	}
	return live, nil
}

// nothingPromised proves that no earlier prime of the claim was rebound: the S3Import is made
// before the first prime, so where it was not there until now, there never was a prime. Any
// other answer costs a look at all volumes, never the population.
func (r *Reconciler) nothingPromised(ctx context.Context, s protocol.State) error {
	if s.Import == nil {
		err := r.Create(ctx, protocol.ImportFor(s.Claim))
		if err == nil {
			return nil
		}
		log.FromContext(ctx).V(1).Info("Cannot make the import, looking at all volumes instead", "reason", err.Error())
	}
	promised, err := r.promised.has(ctx, r.Live, s.Claim.UID)
	if err != nil {
		return fmt.Errorf("list volumes: %w", err)
	}
	if promised {
		return errStale
	}
	// The list takes as long as there are volumes, and a claim may go in less.
	return r.stillUnbound(ctx, s.Claim)
}

// releaseNode takes the node off the claim, only if it is still the same, so that the
// scheduler chooses again; then the prime forgets that it ever had it.
func (r *Reconciler) releaseNode(ctx context.Context, s protocol.State) error {
	path := "/metadata/annotations/" + strings.ReplaceAll(v1alpha1.AnnotationSelectedNode, "/", "~1")
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": path, "value": s.Claim.Annotations[v1alpha1.AnnotationSelectedNode]},
		{"op": "remove", "path": path},
	})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	err = r.Patch(ctx, s.Claim.DeepCopy(), client.RawPatch(types.JSONPatchType, patch))
	if apierrors.IsInvalid(err) || apierrors.IsNotFound(err) {
		return errStale // Somebody else changed it first.
	}
	if err != nil {
		return fmt.Errorf("release node: %w", err)
	}
	return r.annotate(ctx, s.Prime, map[string]any{v1alpha1.AnnotationMirroredNode: nil})
}

func (r *Reconciler) selectNode(ctx context.Context, s protocol.State) error {
	node := s.Claim.Annotations[v1alpha1.AnnotationSelectedNode]
	return r.annotate(
		ctx,
		s.Prime,
		map[string]any{v1alpha1.AnnotationSelectedNode: node, v1alpha1.AnnotationMirroredNode: node},
	)
}
