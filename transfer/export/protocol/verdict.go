// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/internal/progress"
	"github.com/s3populator/s3populator/mover/wire"
)

// Back-off between attempts: 10 s, doubled each time, at most 5 min, or 15 min while S3 throttles or
// cannot be reached.
const (
	firstBackoff = 10 * time.Second
	lastBackoff  = 5 * time.Minute
	lastWait     = 15 * time.Minute
)

// defaultLimit is that of the schema.
const defaultLimit = 6

// disruptionLimit bounds attempts that were ended from outside: an eviction is nobody's mistake, and a
// pod that always kills its node is.
const disruptionLimit = 50

// verdict is what the end of a mover means for the run.
func verdict(s State, r wire.Report) Decision {
	d := Decision{Action: Wait, Ended: &r, Recheck: soon}
	if r.Class == wire.Done {
		d.Phase, d.Reason, d.Message = v1alpha1.ExportSucceeded, v1alpha1.ReasonExported, summary(s.Export, r)
		return d
	}
	d.Reason, d.Message = v1alpha1.Reason(r.Reason), trimmed(r.Message)+"."
	counts := countsAfter(s.Export.Status, s.Mover, r)
	if counts.exhausted(s.Export, r) {
		d.Phase = v1alpha1.ExportFailed
		if r.Class != wire.User {
			d.Message = fmt.Sprintf("Gave up after %d attempts without progress. The last one: %s",
				counts.failures+counts.disruptions, d.Message)
		}
		d.Message += " The export is over; correct what is wrong and make a new one."
		return d
	}
	d.Phase = v1alpha1.ExportPending
	d.Message += fmt.Sprintf(" It is tried again at %s UTC.", counts.next(s.Now).UTC().Format(time.TimeOnly))
	if counts.waits > 0 {
		d.Message += " There is no limit on these attempts."
	}
	return d
}

// believed is a mover's report, but not of success where it may have read another claim: a pod mounts by
// name, and until it has a node nothing keeps the claim that it was made for.
func believed(s State, r wire.Report) wire.Report {
	if r.Class != wire.Done || s.sameClaim() {
		return r
	}
	what := "is gone"
	if s.Claim != nil {
		what = "is another one by now"
	}
	return wire.Report{
		Class: wire.User, Reason: wire.Reason(v1alpha1.ReasonClaimReplaced),
		Message: fmt.Sprintf("Pod %s has ended, but claim %s %s, so that nobody can tell whose files were sent",
			s.Mover.Name, s.Export.Spec.ClaimName, what),
	}
}

// sameClaim tells that the claim is there that the mover was made for. A mover that has ended keeps the
// claim that it mounted.
func (s State) sameClaim() bool { return s.Claim != nil && !replaced(s.Export, s.Claim) }

// counts are the attempts in a row that made no progress.
type counts struct{ failures, disruptions, waits int32 }

// countsAfter adds an attempt:
//
//	the attempt                           counts as    takes back to zero
//	made progress                         -            failures, disruptions, waits
//	waited for S3 (RetryUncounted)        wait         -
//	was ended from outside                disruption   waits
//	failed otherwise                      failure      waits
func countsAfter(was v1alpha1.S3ExportStatus, mover *corev1.Pod, r wire.Report) counts {
	c := counts{was.Failures, was.Disruptions, was.Waits}
	switch {
	case r.Progressed:
		return counts{}
	case r.Class == wire.RetryUncounted:
		c.waits++
		return c
	case !ended(mover) || moverpod.Disrupted(mover):
		c.disruptions++
	default:
		c.failures++
	}
	c.waits = 0
	return c
}

func (c counts) exhausted(e *v1alpha1.S3Export, r wire.Report) bool {
	limit := int32(defaultLimit)
	if l := e.Spec.Retries.Limit; l != nil {
		limit = *l
	}
	return r.Class == wire.User || c.waits == 0 && (c.failures > limit || c.disruptions > disruptionLimit)
}

// next is when the attempt after this one begins; whole seconds, as the API stores them.
func (c counts) next(now time.Time) time.Time {
	if c.waits > 0 {
		return now.Truncate(time.Second).Add(backoff(c.waits, lastWait))
	}
	return now.Truncate(time.Second).Add(backoff(c.failures+c.disruptions, lastBackoff))
}

func backoff(n int32, last time.Duration) time.Duration {
	wait := firstBackoff
	for range min(n-1, 10) {
		wait = min(2*wait, last)
	}
	return wait
}

// summary is what a complete run came to, for people.
func summary(e *v1alpha1.S3Export, r wire.Report) string {
	text := fmt.Sprintf("%d objects, %s, verified", r.Objects, progress.Size(r.Bytes))
	if e.Spec.DryRun {
		text = fmt.Sprintf("%d files, %s, and nothing was written", r.Objects, progress.Size(r.Bytes))
	}
	if said := trimmed(r.Message); said != "" {
		text += ": " + said
	}
	return text + "."
}

func trimmed(message string) string { return strings.TrimRight(message, ". ") }

// attemptOf is the number of a mover, from 1.
func attemptOf(pod *corev1.Pod) int32 {
	n, err := strconv.ParseInt(pod.Annotations[v1alpha1.AnnotationAttempt], 10, 32)
	if err != nil {
		return 1
	}
	return int32(n)
}

func timeOf(t *metav1.Time) *time.Time {
	if t == nil {
		return nil
	}
	return &t.Time
}
