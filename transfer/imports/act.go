// SPDX-License-Identifier: Apache-2.0

package imports

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/fromexport"
	"github.com/s3populator/s3populator/transfer/attempts"
	"github.com/s3populator/s3populator/transfer/imports/protocol"
	"github.com/s3populator/s3populator/transfer/movers"
)

// act makes the one write of a decision. What the API server refuses becomes another decision, that
// tells of it.
func (r *Reconciler) act(ctx context.Context, s protocol.State, d protocol.Decision) (protocol.Decision, error) {
	switch d.Action {
	case protocol.Wait:
		return d, nil
	case protocol.NoteSelection: // The report writes what is noted.
		return d, r.current(ctx, s)
	case protocol.StartMover:
		return r.start(ctx, s, d)
	case protocol.DeleteMover:
		r.seen.NoteDeleted(client.ObjectKeyFromObject(s.Import), s.Mover.UID) // Before its end can be seen.
		return d, movers.Delete(
			ctx,
			r.Client,
			s.Mover,
		) //nolint:wrapcheck // Reconcile names the action.
	case protocol.DeleteImport:
		uid := client.Preconditions{UID: &s.Import.UID}
		return d, client.IgnoreNotFound(r.Delete(ctx, s.Import, uid)) //nolint:wrapcheck // As above.
	}
	return d, fmt.Errorf("unknown action %q", d.Action)
}

// errStale: what the cache shows of a source is not what the API server has.
var errStale = errors.New("observed source is stale")

// current looks at the source once more before its selection is noted, which every later look is compared with: the
// cache of sources may be behind that of imports, as where one edit and an import were applied together.
func (r *Reconciler) current(ctx context.Context, s protocol.State) error {
	source := &v1alpha1.S3Source{}
	key := client.ObjectKey{Namespace: s.Import.Namespace, Name: s.Import.Spec.SourceName}
	if err := r.Live.Get(ctx, key, source); err != nil {
		if apierrors.IsNotFound(err) {
			return errStale
		}
		return fmt.Errorf("read the source: %w", err)
	}
	effective, found := fromexport.Effective(source)
	if !found {
		return errStale
	}
	was, err := protocol.SelectionOf(s.Import.Spec, s.Source)
	is, err2 := protocol.SelectionOf(s.Import.Spec, effective)
	if err != nil || err2 != nil || was != is {
		return errStale
	}
	return nil
}

// start makes the mover, unless another import was let into the claim a moment ago: by this manager, or by one before
// it, of which the cache may not know yet.
func (r *Reconciler) start(ctx context.Context, s protocol.State, d protocol.Decision) (protocol.Decision, error) {
	if other := r.turns.take(s.Claim.UID, client.ObjectKeyFromObject(s.Import)); other != "" {
		s.Ahead = other
		return protocol.Decide(s, r.Options.Defaults), nil
	}
	var err error
	if s.Busy, err = busy(ctx, r.Live, &s); err != nil {
		return d, err
	}
	if s.Busy != nil {
		r.turns.leave(client.ObjectKeyFromObject(s.Import))
		return protocol.Decide(s, r.Options.Defaults), nil
	}
	pod, err := protocol.Mover(s, r.Options.mover())
	if err != nil {
		r.turns.leave(client.ObjectKeyFromObject(s.Import))
		return d, err //nolint:wrapcheck // Reconcile names the action.
	}
	err = movers.Clients{Write: r.Client, Live: r.Live}.Create(ctx, pod, "import", func(p *corev1.Pod) bool {
		return protocol.OwnedBy(p, s.Import)
	})
	d.Attempt = attempts.Of(pod) // It may have been there: the cache of pods may be older than that of imports.
	switch {
	case notMade(err): // It may be refused for ever, and another import is not.
		r.turns.leave(client.ObjectKeyFromObject(s.Import))
	case err == nil && pod.UID != "": // It may be gone before the cache shows it.
		r.seen.NoteMover(client.ObjectKeyFromObject(s.Import), pod)
	}
	return refused(s, d, pod.Name, err)
}

// notMade tells that no mover is there for certain: one of ours whose labels were changed, or that is made by a request
// without an answer, may write.
func notMade(err error) bool {
	if unusable, ok := errors.AsType[*movers.UnusableError](err); ok {
		return unusable.Reason == v1alpha1.ReasonMoverRefused
	}
	return err != nil && !movers.Passing(err)
}

// passingPatience is how long what mostly passes by itself is not told.
const passingPatience = time.Minute

// refused tells what the API server said to a pod. What mostly passes by itself is an error at first, which
// leaves the pace to controller-runtime.
func refused(s protocol.State, d protocol.Decision, pod string, err error) (protocol.Decision, error) {
	var unusable *movers.UnusableError
	switch {
	case err == nil:
		return d, nil
	case errors.As(err, &unusable):
		return protocol.Refused(unusable.Reason, unusable.Message), nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return protocol.Decision{Action: protocol.Wait}, nil
	case apierrors.IsConflict(err), movers.Passing(err) && s.Now.Sub(s.Import.CreationTimestamp.Time) < passingPatience:
		return d, err
	}
	return protocol.Refused(v1alpha1.ReasonMoverRefused, fmt.Sprintf(
		"The API server did not let the manager create pod %s, which loads the objects: %s.", pod, movers.Words(err))), nil
}
