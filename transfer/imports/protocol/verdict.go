// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"strings"
	"time"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/progress"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/attempts"
)

// verdict is what the end of a mover means for the run.
func verdict(s State, r wire.Report) Decision {
	d := Decision{Action: Wait, Ended: &r, Recheck: soon}
	if r.Class == wire.Done {
		d.Phase, d.Reason, d.Message = v1alpha1.ImportSucceeded, v1alpha1.ReasonImported, summary(r)
		return d
	}
	d.Reason, d.Message = v1alpha1.Reason(r.Reason), trimmed(r.Message)+"."
	counts := countsOf(s.Import.Status).After(s.Mover, r)
	if counts.Exhausted(limitOf(s), r) {
		d.Phase = v1alpha1.ImportFailed
		if r.Class != wire.User {
			d.Message = fmt.Sprintf("Gave up after %d attempts without progress. The last one: %s",
				counts.Failures+counts.Disruptions, d.Message)
		}
		d.Message += " The import is over; correct what is wrong and make a new one."
		return d
	}
	d.Phase = v1alpha1.ImportPending
	d.Message += fmt.Sprintf(" It is tried again at %s UTC.", counts.Next(s.Now).UTC().Format(time.TimeOnly))
	if counts.Waits > 0 {
		d.Message += " There is no limit on these attempts."
	}
	return d
}

// believed is a mover's report, but not of success where it may have written another claim, or where its source asks
// for another thing by now.
func believed(s State, r wire.Report) wire.Report {
	switch {
	case r.Class != wire.Done:
	case s.otherClaim() || replaced(s.Import, s.Claim):
		return ofAnotherClaim(s)
	case s.asksForOther() != "":
		return ofAnotherSelection(s)
	}
	return r
}

// ofAnotherClaim: a pod mounts by name, and until it has a node nothing keeps the claim that it was made for.
func ofAnotherClaim(s State) wire.Report {
	what := "is gone"
	if s.Claim != nil {
		what = "is another one by now"
	}
	return wire.Report{
		Class: wire.User, Reason: wire.Reason(v1alpha1.ReasonClaimReplaced),
		Message: fmt.Sprintf("Pod %s has ended, but claim %s %s, so that nobody can tell which volume it has written",
			s.Mover.Name, s.Import.Spec.ClaimName, what),
	}
}

// countsOf are those that the status has.
func countsOf(status v1alpha1.S3ImportStatus) attempts.Counts {
	return attempts.Counts{Failures: status.Failures, Disruptions: status.Disruptions, Waits: status.Waits}
}

// retriesOf are those of the import, or of its source; none where that is gone.
func retriesOf(s State) v1alpha1.Retries {
	switch {
	case s.Import.Spec.Retries != nil:
		return *s.Import.Spec.Retries
	case s.Source != nil:
		return s.Source.Spec.Retries
	}
	return v1alpha1.Retries{}
}

func limitOf(s State) *int32 { return retriesOf(s).Limit }

// summary is what a complete run came to, for people.
func summary(r wire.Report) string {
	text := fmt.Sprintf("%d objects, %s, verified; %s fetched", r.Objects, progress.Size(r.Bytes),
		progress.Size(r.FetchedBytes))
	if said := trimmed(r.Message); said != "" {
		text += ": " + said
	}
	return text + "."
}

func trimmed(message string) string { return strings.TrimRight(message, ". ") }
