// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/progress"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/attempts"
)

// verdict is what the end of a mover means for the run.
func verdict(s State, r wire.Report) Decision {
	d := Decision{Action: Wait, Ended: &r, Recheck: soon}
	if said := advances(s, r); said != "" {
		d.Phase, d.Reason, d.Message = v1alpha1.ExportRunning, v1alpha1.ReasonExporting, said
		return d
	}
	if r.Class == wire.Done {
		d.Phase, d.Reason, d.Message = v1alpha1.ExportSucceeded, v1alpha1.ReasonExported, summary(s.Export, r)
		return d
	}
	d.Reason, d.Message = v1alpha1.Reason(r.Reason), trimmed(r.Message)+"."
	counts := countsOf(s.Export.Status).After(s.Mover, r)
	if counts.Exhausted(s.Export.Spec.Retries.Limit, r) {
		d.Phase = v1alpha1.ExportFailed
		if r.Class != wire.User {
			d.Message = fmt.Sprintf("Gave up after %d attempts without progress. The last one: %s",
				counts.Failures+counts.Disruptions, d.Message)
		}
		d.Message += " The export is over; correct what is wrong and make a new one."
		return d
	}
	d.Phase = v1alpha1.ExportPending
	d.Message += fmt.Sprintf(" It is tried again at %s UTC.", counts.Next(s.Now).UTC().Format(time.TimeOnly))
	if counts.Waits > 0 {
		d.Message += " There is no limit on these attempts."
	}
	return d
}

// believed is a mover's report, but not of success where it may have read another claim: a pod mounts by
// name, and until it has a node nothing keeps the claim that it was made for. Nor is it that of a run with shards where
// nobody has told of a manifest.
func believed(s State, r wire.Report) wire.Report {
	switch {
	case r.Class != wire.Done, s.doubt() == "" && !withoutManifest(s, r):
		return r
	case s.doubt() == "":
		return wire.Report{
			Class: wire.Retry, Reason: wire.VerificationFailed,
			Message: s.moverName() + " has ended, and has not told of the manifest, without which no export is complete.",
		}
	}
	return wire.Report{
		Class: wire.User, Reason: wire.Reason(v1alpha1.ReasonClaimReplaced),
		Message: fmt.Sprintf("Pod %s has ended, but claim %s, so that nobody can tell whose files were sent",
			s.Mover.Name, s.doubt()),
	}
}

// doubt is what is wrong with the claim that the mover was made for; empty where that is there. A mover that has
// ended keeps the claim that it mounted. A temporary claim was made from a snapshot only while the claim was there
// that the snapshot was asked of; a clone may have been made of a later one.
func (s State) doubt() string {
	read := s.Mover.Annotations[v1alpha1.AnnotationTemporaryUID]
	switch {
	case Apart(s.Export) && (!s.ownsTemporaryClaim() || read != string(s.Temporary.Claim.UID)):
		return TemporaryName(s.Export.UID) + " is another one by now, or gone"
	case s.Export.Spec.Consistency == v1alpha1.ConsistencySnapshot:
		return ""
	case s.Claim == nil:
		return s.Export.Spec.ClaimName + " is gone"
	case replaced(s.Export, s.Claim), s.Mover.Annotations[v1alpha1.AnnotationClaimUID] != string(s.Claim.UID):
		return s.Export.Spec.ClaimName + " is another one by now"
	}
	return ""
}

// countsOf are those that the status has.
func countsOf(status v1alpha1.S3ExportStatus) attempts.Counts {
	return attempts.Counts{Failures: status.Failures, Disruptions: status.Disruptions, Waits: status.Waits}
}

// summary is what a complete run came to, for people.
func summary(e *v1alpha1.S3Export, r wire.Report) string {
	links := ""
	if r.Links > 0 {
		links = fmt.Sprintf(" and %d symbolic links", r.Links)
	}
	text := fmt.Sprintf("%d objects, %s%s, verified", r.Objects, progress.Size(r.Bytes), links)
	if e.Spec.DryRun {
		text = fmt.Sprintf("%d files, %s%s, and nothing was written", r.Objects, progress.Size(r.Bytes), links)
	}
	if said := trimmed(r.Message); said != "" {
		text += ": " + said
	}
	return text + "."
}

func trimmed(message string) string { return strings.TrimRight(message, ". ") }

func timeOf(t *metav1.Time) *time.Time {
	if t == nil {
		return nil
	}
	return &t.Time
}
