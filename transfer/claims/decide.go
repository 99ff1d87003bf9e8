// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
	"github.com/s3populator/s3populator/transfer/retention"
	"github.com/s3populator/s3populator/transfer/schedule"
	"github.com/s3populator/s3populator/transfer/template"
)

// state is everything that a decision rests on.
type state struct {
	Claim *corev1.PersistentVolumeClaim
	// Exports of the claim, whoever made them.
	Exports []v1alpha1.S3Export
	// Imports of the claim, but for the record of how it was filled.
	Imports []v1alpha1.S3Import
	// Made is the run that this manager made last for the claim, until its token is noted.
	Made types.UID
	Now  time.Time
}

// action is the one write that a pass may make, besides the condition.
type action string

const (
	rest   action = "wait for"
	create action = "create"
	note   action = "note"
	remove action = "delete"
)

// decision is what a pass writes.
type decision struct {
	Action action
	// Export is created or deleted, or Import is.
	Export *v1alpha1.S3Export
	Import *v1alpha1.S3Import
	// Warning is told when a token is noted that nothing is made for.
	Warning string
	// Reused is told when a token is noted that had its run before another one.
	Reused string
	// Annotation is set to Value on the claim; an empty value removes it.
	Annotation, Value string
	// Missed are ticks that are not made up for.
	Missed int
	// Ahead is the tick that was noted before, in the future; zero where none was.
	Ahead time.Time
	// Recheck looks again without being woken; zero waits for a watch.
	Recheck time.Duration
}

// keep is how many complete exports that were made from annotations stay, as with a CronJob.
const keep = 3

// decide compares the annotations of a claim with its imports, and then with its exports. A token and a tick are noted
// on the claim only after their run was seen, so that an end in between begins it again, under the same name.
//
//	annotations             then
//	invalid about exports   nothing of the rules about them; the condition says so
//	no schedule any more    forget its last tick: should it come back, nothing is made up for
//	a new schedule          note the time: ticks before it do not count
//	a tick in the future    the same, because a clock was ahead, and no tick until then would be due
//	a new token             its export: create it, or note the token where it is there; if that is over, and another
//	                        token came after it, the token came back: tell so
//	a tick is due           the same, once the export before has ended
//	-                       remove one export that is history
//	a new token to import   its import, in the same way
//	-                       remove one import that is history
//
// Exports come first: an import that the API server refuses is tried again for ever, and must not keep a schedule.
func decide(s state) (decision, field.ErrorList) {
	if s.Claim.DeletionTimestamp != nil {
		return decision{Action: rest}, nil
	}
	asked, errs := annotated.ExportOf(s.Claim)
	exports := []func(state, annotated.Export) (decision, bool){followSchedule, runNow, runTick, removeHistory}
	if len(errs) > 0 {
		exports = nil
	}
	for _, rule := range exports {
		if d, decided := rule(s, asked); decided {
			return d, nil
		}
	}
	for _, rule := range []func(state) (decision, bool){importNow, removeImports} {
		if d, decided := rule(s); decided {
			return d, nil
		}
	}
	if len(errs) > 0 {
		return decision{Action: rest}, errs
	}
	return decision{Action: rest, Recheck: untilTick(s, asked)}, nil
}

// followSchedule notes when a schedule was first seen, and forgets it when it is gone. A tick that was noted by a
// clock that was ahead is noted anew.
func followSchedule(s state, asked annotated.Export) (decision, bool) {
	_, noted := s.Claim.Annotations[v1alpha1.AnnotationExportedTick]
	last, readable := lastTick(s)
	switch {
	case asked.Schedule == "" && noted:
		return decision{Action: note, Annotation: v1alpha1.AnnotationExportedTick}, true
	case asked.Schedule != "" && !readable:
		return decision{
			Action:     note,
			Annotation: v1alpha1.AnnotationExportedTick,
			Value:      s.Now.UTC().Format(time.RFC3339),
		}, true
	case asked.Schedule != "" && schedule.Ahead(last, s.Now):
		return decision{
			Action: note, Annotation: v1alpha1.AnnotationExportedTick, Value: s.Now.UTC().Format(time.RFC3339), Ahead: last,
		}, true
	}
	return decision{}, false
}

// runNow makes the one export of a token.
func runNow(s state, asked annotated.Export) (decision, bool) {
	if asked.Now == "" || asked.Now == s.Claim.Annotations[v1alpha1.AnnotationExportedNow] {
		return decision{}, false
	}
	name := schedule.NowName(s.Claim.Name, string(s.Claim.UID), asked.Now)
	if i := slices.IndexFunc(s.Exports, func(e v1alpha1.S3Export) bool { return e.Name == name }); i >= 0 {
		noted := decision{Action: note, Annotation: v1alpha1.AnnotationExportedNow, Value: asked.Now}
		if e := &s.Exports[i]; comesBack(s, v1alpha1.AnnotationExportedNow, e) && retention.StateOf(e) != retention.Active {
			noted.Reused = reusedNote(v1alpha1.AnnotationExportNow, "S3Export", e)
		}
		return noted, true
	}
	if active(s) && !template.PerRun(asked.Prefix) {
		return decision{}, false // Two of them must not write to one prefix at once; the end of the other wakes us.
	}
	return decision{Action: create, Export: exportFor(s.Claim, asked, name, nil)}, true
}

// comesBack tells that another token was noted after the one whose run there is. A run that was made just now for a new
// token may be over at once.
func comesBack(s state, noted string, run metav1.Object) bool {
	return s.Claim.Annotations[noted] != "" && run.GetUID() != s.Made
}

// reusedNote tells of a token that comes back: the run of its name is over, and no other begins. After a restart it may
// be that of this very time, of which it is true as well.
func reusedNote(annotation, kind string, run metav1.Object) string {
	return fmt.Sprintf("The value of %s was used before, and each value is one run: %s %s of %s UTC. Nothing else begins "+
		"for it; write a value that was never used, such as the time.",
		annotation, kind, run.GetName(), run.GetCreationTimestamp().UTC().Format(time.DateTime))
}

// runTick makes the export of the latest tick.
func runTick(s state, asked annotated.Export) (decision, bool) {
	since, ok := lastTick(s)
	if asked.Schedule == "" || !ok {
		return decision{}, false
	}
	plan, err := schedule.Parse(asked.Schedule, "")
	if err != nil {
		return decision{}, false // ExportOf has refused it.
	}
	due := plan.Due(since, s.Now, nil)
	if due.Tick.IsZero() {
		return decision{}, false
	}
	name := schedule.Name("at", s.Claim.Name, "", string(s.Claim.UID), due.Tick)
	if there(s, name) {
		return decision{
			Action: note, Annotation: v1alpha1.AnnotationExportedTick, Value: due.Tick.UTC().Format(time.RFC3339),
			Missed: due.Missed,
		}, true
	}
	claim := schedule.Claim{Active: active(s)}
	if schedule.Decide(claim, due.Tick, s.Now, nil, schedule.Forbid) != schedule.Start {
		return decision{}, false // The end of the other wakes us.
	}
	return decision{Action: create, Export: exportFor(s.Claim, asked, name, &due.Tick)}, true
}

// removeHistory removes exports that were made from annotations, one at a time, but for the last one that had files.
func removeHistory(s state, _ annotated.Export) (decision, bool) {
	var runs []retention.Run
	for i := range s.Exports {
		if metav1.IsControlledBy(&s.Exports[i], s.Claim) {
			runs = append(runs, retention.RunOf(&s.Exports[i]))
		}
	}
	gone := retention.Removable(runs, keep)
	last := retention.LastsToRestore(s.Exports, func(e *v1alpha1.S3Export) string {
		if !metav1.IsControlledBy(e, s.Claim) {
			return "" // It may go at any time.
		}
		return string(s.Claim.UID)
	})[string(s.Claim.UID)]
	for i := range s.Exports {
		e := &s.Exports[i]
		if slices.Contains(gone, e.Name) && e.DeletionTimestamp == nil && e != last {
			return decision{Action: remove, Export: e}, true
		}
	}
	return decision{}, false
}

func untilTick(s state, asked annotated.Export) time.Duration {
	since, ok := lastTick(s)
	plan, err := schedule.Parse(asked.Schedule, "")
	if !ok || asked.Schedule == "" || err != nil {
		return 0
	}
	return schedule.Recheck(plan.Next(since, s.Now), s.Now)
}

// lastTick is what was noted of the schedule.
func lastTick(s state) (time.Time, bool) {
	tick, err := time.Parse(time.RFC3339, s.Claim.Annotations[v1alpha1.AnnotationExportedTick])
	return tick, err == nil
}

func there(s state, name string) bool {
	return slices.ContainsFunc(s.Exports, func(e v1alpha1.S3Export) bool { return e.Name == name })
}

// active tells whether an export that was made from the claim's annotations has not ended.
func active(s state) bool {
	return slices.ContainsFunc(s.Exports, func(e v1alpha1.S3Export) bool {
		return metav1.IsControlledBy(&e, s.Claim) && retention.StateOf(&e) == retention.Active
	})
}

// exportFor is the S3Export that a claim asks for. The claim owns it.
func exportFor(
	claim *corev1.PersistentVolumeClaim,
	asked annotated.Export,
	name string,
	tick *time.Time,
) *v1alpha1.S3Export {
	export := &v1alpha1.S3Export{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: claim.Namespace,
			Labels: map[string]string{
				v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
				v1alpha1.LabelClaimUID:  string(claim.UID),
			},
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(claim, corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim")),
			},
		},
		Spec: v1alpha1.S3ExportSpec{ClaimName: claim.Name, S3ExportTemplate: v1alpha1.S3ExportTemplate{
			Destination: v1alpha1.ExportDestination{S3Location: asked.Location, Prefix: asked.Prefix},
			UnsafePaths: asked.UnsafePaths,
			Mover:       v1alpha1.Mover{PodSecurityContext: asked.RunAs},
			Consistency: asked.Consistency,
		}},
	}
	if tick != nil {
		export.Annotations = map[string]string{v1alpha1.AnnotationScheduledAt: tick.UTC().Format(time.RFC3339)}
	}
	return export
}

// aheadNote tells of a tick that was noted in the future.
func aheadNote(noted time.Time) string {
	return fmt.Sprintf(
		"The last scheduled run was noted at %s, which is in the future: the clock of a manager was ahead, or "+
			"the one of this manager is behind. Runs go on with the next one. Check the clocks of the nodes.",
		noted.UTC().Format(time.RFC3339),
	)
}

// missedNote tells of ticks that were missed.
func missedNote(missed int) string {
	if missed <= schedule.MostMissed {
		return ""
	}
	return fmt.Sprintf("More than %d runs of %s were missed; only the last is made up for. Check the clocks.",
		schedule.MostMissed, strings.TrimPrefix(v1alpha1.AnnotationExportSchedule, v1alpha1.Group+"/"))
}
