// SPDX-License-Identifier: Apache-2.0

package imports

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/fromexport"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/populator/queue"
	"github.com/s3populator/s3populator/transfer/attempts"
	"github.com/s3populator/s3populator/transfer/imports/protocol"
	"github.com/s3populator/s3populator/transfer/movers"
)

// observe reads everything that a decision rests on. The import is nil where there is none, or only a record.
func (r *Reconciler) observe(ctx context.Context, name types.NamespacedName) (protocol.State, error) {
	s := protocol.State{Now: r.Options.Now()}
	i := &v1alpha1.S3Import{}
	if err := r.Get(ctx, name, i); err != nil {
		return s, client.IgnoreNotFound(err) //nolint:wrapcheck // The cache has stopped.
	}
	if i.IsRecord() {
		return s, nil
	}
	s.Import = i
	var err error
	if s.Mover, err = movers.Read(ctx, r, i.Namespace, moverpod.ImporterName(string(i.UID))); err != nil {
		return s, err //nolint:wrapcheck // It says what it did.
	}
	s.Deleted = r.seen.WasDeleted(name, s.Mover)
	if protocol.Over(i) || i.DeletionTimestamp != nil {
		r.seen.Forget(name)
		r.turns.leave(name)
		if s.Mover != nil && i.DeletionTimestamp == nil {
			s.Claim, err = movers.Claim(ctx, r.Live, i.Namespace, i.Spec.ClaimName)
		}
		return s, err //nolint:wrapcheck // As above.
	}
	if err := r.vanished(ctx, &s); err != nil {
		return s, err
	}
	if err := r.volume(ctx, &s); err != nil {
		return s, err
	}
	if err := r.source(ctx, &s); err != nil {
		return s, err
	}
	err = r.others(ctx, &s)
	return s, err
}

// vanished is a mover that was there and is gone, also one that was to end and was complete by then: another one would
// bring back what programs have changed since.
func (r *Reconciler) vanished(ctx context.Context, s *protocol.State) (err error) {
	run := client.ObjectKeyFromObject(s.Import)
	owned := func(p *corev1.Pod) bool { return protocol.OwnedBy(p, s.Import) }
	there := func(last *corev1.Pod) (bool, error) {
		pod, err := movers.Read(ctx, r.Live, last.Namespace, last.Name)
		return pod != nil, err //nolint:wrapcheck // It says what it did.
	}
	if s.Vanished, err = r.seen.Vanished(run, s.Mover, owned, there); s.Vanished == nil && err == nil {
		s.Vanished, err = r.seen.Completed(run, s.Mover, owned, there)
	}
	return err //nolint:wrapcheck // As above.
}

func (r *Reconciler) source(ctx context.Context, s *protocol.State) error {
	source := &v1alpha1.S3Source{}
	err := r.Get(ctx, types.NamespacedName{Namespace: s.Import.Namespace, Name: s.Import.Spec.SourceName}, source)
	switch {
	case err == nil:
		effective, ok := fromexport.Effective(source)
		if s.Unresolved = !ok; ok {
			s.Source = effective
		}
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("read source: %w", err)
	}
	return nil
}

// others are imports into the same claim, of which one may come first.
func (r *Reconciler) others(ctx context.Context, s *protocol.State) error {
	var err error
	if s.Busy, err = busy(ctx, r, s); err != nil || s.Busy != nil {
		return err
	}
	var all v1alpha1.S3ImportList
	err = r.List(ctx, &all, client.InNamespace(s.Import.Namespace),
		client.MatchingFields{indexClaim: s.Import.Spec.ClaimName})
	if err != nil {
		return fmt.Errorf("list imports: %w", err)
	}
	s.Ahead = protocol.Ahead(s.Import, all.Items)
	return nil
}

// busy is a mover of another import that has not ended on the claim.
func busy(ctx context.Context, from client.Reader, s *protocol.State) (*corev1.Pod, error) {
	var pods corev1.PodList
	err := from.List(ctx, &pods, client.InNamespace(s.Import.Namespace),
		client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.RoleImport})
	if err != nil {
		return nil, fmt.Errorf("list movers: %w", err)
	}
	return protocol.Busy(s.Import, s.Claim, pods.Items), nil
}

// volume reads the claim and who uses it, from the API server: the cache has neither. While a mover
// has not ended, what was read is used for a while.
func (r *Reconciler) volume(ctx context.Context, s *protocol.State) error {
	name := client.ObjectKeyFromObject(s.Import)
	// A mover without a node keeps no claim: one that is gone is to be noticed before another takes its name.
	if s.Mover != nil && s.Mover.Spec.NodeName != "" && !attempts.Ended(s.Mover) {
		if claim, users, ok := r.seen.Recall(name, s.Import.UID, s.Now, protocol.UsersEvery); ok {
			s.Claim, s.Users = claim, users
			return nil
		}
	}
	claim, err := movers.Claim(ctx, r.Live, s.Import.Namespace, s.Import.Spec.ClaimName)
	if err != nil {
		return err //nolint:wrapcheck // It says what it did.
	}
	if claim != nil {
		pods, err := movers.Pods(ctx, r.Live, s.Import.Namespace)
		if err != nil {
			return err //nolint:wrapcheck // As above.
		}
		s.Claim, s.Users = claim, protocol.Users(pods, claim.Name, s.Import)
	}
	r.seen.Remember(name, s.Import.UID, s.Now, s.Claim, s.Users)
	return nil
}

// turn asks the queue for a place when that is all that a mover still needs; nil is a place.
func (r *Reconciler) turn(ctx context.Context, s protocol.State) (*queue.Position, error) {
	if !protocol.WantsPlace(s, r.Options.Defaults) {
		r.Places.Leave(v1alpha1.RoleImport, client.ObjectKeyFromObject(s.Import))
		if !attempts.Active(s.Mover) {
			r.turns.leave(client.ObjectKeyFromObject(s.Import))
		}
		return nil, nil //nolint:nilnil // Whoever starts no mover does not wait for a place.
	}
	position, err := r.Places.Ask(ctx, protocol.PlaceFor(s.Import, s.Source))
	if err != nil {
		return nil, fmt.Errorf("ask for a place: %w", err)
	}
	return position, nil
}
