// SPDX-License-Identifier: Apache-2.0

// Package retention tells which S3Exports or S3Imports of a claim are history that need not be kept. It is about these
// objects of Kubernetes alone; what becomes of what a run wrote to S3 is decided elsewhere. It is pure.
package retention

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// State is how far a run is.
type State string

// The states of a run.
const (
	Active   State = "Active"
	Complete State = "Complete"
	Failed   State = "Failed"
)

// Run is one export or import of a claim.
type Run struct {
	Name string
	// At is when it was due, or created.
	At    time.Time
	State State
	// Dry tells that it wrote nothing.
	Dry bool
}

// StateOf an S3Export.
func StateOf(export *v1alpha1.S3Export) State { return stateOf(export.Status.Conditions) }

func stateOf(conditions []metav1.Condition) State {
	switch {
	case meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionComplete):
		return Complete
	case meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionFailed):
		return Failed
	}
	return Active
}

// Moved tells whether an S3Export has begun to end, has ended, or was changed after that. How far it is while it
// runs concerns nobody who made it.
func Moved(before, after *v1alpha1.S3Export) bool {
	return StateOf(after) != Active || StateOf(before) != Active ||
		(before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil)
}

// RunOf an S3Export. When it was created tells its place among the others.
func RunOf(export *v1alpha1.S3Export) Run {
	return Run{Name: export.Name, At: export.CreationTimestamp.Time, State: StateOf(export), Dry: export.Spec.DryRun}
}

// RunOfImport is that of an S3Import.
func RunOfImport(i *v1alpha1.S3Import) Run {
	return Run{Name: i.Name, At: i.CreationTimestamp.Time, State: stateOf(i.Status.Conditions)}
}

// Removable are the names of the runs of one claim that go, oldest first, when keep complete ones stay.
//
//	state       then
//	active      stays
//	complete    the newest keep stay; keep is one at least, because the last one tells where the data is
//	failed      the newest keep stay of those that are newer than every complete one
//
// Dry runs are a history of their own: they wrote nothing that could take the place of what others wrote.
func Removable(runs []Run, keep int) []string {
	newest := newestFirst(runs)
	return append(removable(newest, max(keep, 1), false), removable(newest, max(keep, 1), true)...)
}

// Kept are the names of the complete runs of one claim that stay, newest first; dry ones are none.
func Kept(runs []Run, keep int) []string {
	gone := Removable(runs, keep)
	var kept []string
	for _, run := range newestFirst(runs) {
		if run.State == Complete && !run.Dry && !slices.Contains(gone, run.Name) {
			kept = append(kept, run.Name)
		}
	}
	return kept
}

func newestFirst(runs []Run) []Run {
	return slices.SortedFunc(slices.Values(runs), func(a, b Run) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.Name, a.Name))
	})
}

// removable looks at the dry runs, or at the others.
func removable(newest []Run, keep int, dry bool) []string {
	complete, failed := 0, 0
	var gone []string
	for _, run := range newest {
		if run.Dry != dry {
			continue
		}
		stays := true
		switch run.State {
		case Active:
		case Complete:
			stays = complete < keep
			complete++
		case Failed:
			stays = complete == 0 && failed < keep
			failed++
		}
		if !stays {
			gone = append(gone, run.Name)
		}
	}
	slices.Reverse(gone)
	return gone
}
