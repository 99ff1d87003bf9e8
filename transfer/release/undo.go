// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// released are the objects that a finalizer was taken off, in that order.
type released []letGo

type letGo struct {
	empty     client.Object // One of its kind, to read into.
	kind      string
	key       client.ObjectKey
	uid       types.UID
	deleted   bool // It was before.
	finalizer string
}

// note comes before the write: one that failed may have been made all the same.
func (l *released) note(o, empty client.Object, kind, finalizer string) {
	*l = append(*l, letGo{
		empty: empty, kind: kind, key: client.ObjectKeyFromObject(o), uid: o.GetUID(),
		deleted: o.GetDeletionTimestamp() != nil, finalizer: finalizer,
	})
}

// holdAgain puts the finalizers back. Nobody can put one on an object that was deleted meanwhile: lost are those.
func (r Release) holdAgain(ctx context.Context, off *released) (lost []string) {
	for _, l := range *off {
		if l.deleted {
			continue // Nothing of it waits for the manager but what was told when it was let go.
		}
		switch held, err := r.hold(ctx, l); {
		case err != nil:
			r.say("%s %s is held when the manager is back: %v", l.kind, l.key, err)
		case !held:
			lost = append(lost, l.kind+" "+l.key.String())
			r.say("%s %s was deleted while it was not held", l.kind, l.key)
		}
	}
	if len(*off) > 0 {
		r.say("held %d objects again", len(*off)-len(lost))
	}
	return lost
}

// hold puts one finalizer back, unless the object goes or is gone.
func (r Release) hold(ctx context.Context, l letGo) (held bool, err error) {
	for range 5 {
		now := l.empty.DeepCopyObject().(client.Object)
		if err := r.Client.Get(ctx, l.key, now); err != nil {
			return false, client.IgnoreNotFound(err) //nolint:wrapcheck // The caller names the object.
		}
		switch {
		case now.GetUID() != l.uid:
			return false, nil
		case isHeld(now, l.finalizer):
			return true, nil
		case now.GetDeletionTimestamp() != nil:
			return false, nil
		}
		changed := now.DeepCopyObject().(client.Object)
		changed.SetFinalizers(append(slices.Clone(now.GetFinalizers()), l.finalizer))
		err := r.Client.Patch(ctx, changed, client.MergeFromWithOptions(now, client.MergeFromWithOptimisticLock{}))
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return err == nil, err //nolint:wrapcheck // As above.
		}
	}
	return false, fmt.Errorf("it is changed all the time")
}

// tellLost adds to an error what was lost before it, which a message of it alone would deny.
func tellLost(lost []string, err error) error {
	if err == nil || len(lost) == 0 {
		return err
	}
	return fmt.Errorf("%w. Deleted while they were not held, so that claims go without their export and uploads may "+
		"stay open: %s", err, strings.Join(lost, "; "))
}
