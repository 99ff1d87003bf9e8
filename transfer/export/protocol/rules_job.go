// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"
	"strings"
	"time"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/attempts"
)

// tellLostPods: the Job makes no pod for a shard as long as one of it is there. Where no other runs, nothing goes on.
func tellLostPods(s State) (Decision, bool) {
	var names []string
	var since time.Time
	for i := range s.Pods {
		p := &s.Pods[i]
		if attempts.Ended(p) {
			continue
		}
		if p.DeletionTimestamp == nil || s.Now.Sub(p.DeletionTimestamp.Time) < endPatience {
			return Decision{}, false
		}
		names = append(names, p.Name)
		if since.IsZero() || p.DeletionTimestamp.Time.Before(since) {
			since = p.DeletionTimestamp.Time
		}
	}
	if s.Job == nil || !attempts.Active(s.Mover) || len(names) == 0 {
		return Decision{}, false
	}
	slices.Sort(names)
	return waiting(v1alpha1.ReasonMoverLost, waitEvery,
		"Job %s waits for pods that were told to end at %s UTC and are still there. If their node is gone for good, delete "+
			"them: kubectl delete pod %s --force; the export then goes on.",
		s.Job.Name, since.UTC().Format(time.DateTime), strings.Join(names, " "))
}
