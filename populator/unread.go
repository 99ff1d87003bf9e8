// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/s3populator/s3populator/populator/protocol"
)

// unread tells of a claim for which the API server does not answer what we have to know, and
// returns when to ask again. What is read from the cache never fails.
func (r *Reconciler) unread(ctx context.Context, claim *corev1.PersistentVolumeClaim, err error) time.Duration {
	s := protocol.State{Now: r.Options.Now(), Claim: claim}
	failed := r.setbacks.failed(write{client.ObjectKeyFromObject(claim), readAll}, s.Now, true)
	after := failed.next.Sub(s.Now)
	log.FromContext(ctx).Info("Read failed, trying again later", "error", err.Error(), "after", after, "times",
		failed.times)
	if transient(err) && s.Now.Sub(failed.since) < transientPatience {
		return after
	}
	return sooner(r.report(ctx, s, protocol.ReadFailed(s, words(err))), after)
}
