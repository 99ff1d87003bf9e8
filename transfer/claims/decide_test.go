// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
	"github.com/s3populator/s3populator/transfer/retention"
	"github.com/s3populator/s3populator/transfer/schedule"
)

// midnight is when the claim of these tests was annotated.
var midnight = time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)

func hour(n int) time.Time { return midnight.Add(time.Duration(n) * time.Hour) }

// world is a claim with annotations, and its exports.
type world struct{ state }

func newWorld(now time.Time, annotations ...string) *world {
	w := &world{state{Now: now, Claim: &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Name: "data", Namespace: "ml", UID: "c-1", CreationTimestamp: metav1.NewTime(midnight.AddDate(-1, 0, 0)),
		Annotations: map[string]string{v1alpha1.AnnotationExportTo: "s3://backups", v1alpha1.AnnotationExportRegion: "x"},
	}}}}
	for i := 0; i < len(annotations); i += 2 {
		w.Claim.Annotations[v1alpha1.Group+"/"+annotations[i]] = annotations[i+1]
	}
	return w
}

// export adds one that ended at a time, or has not ended where the condition is empty.
func (w *world) export(name, condition string, ended time.Time, change ...func(*v1alpha1.S3Export)) *world {
	e := exportFor(w.Claim, annotated.Export{}, name, nil)
	e.UID, e.CreationTimestamp = types.UID("uid-"+name), metav1.NewTime(ended)
	if condition != "" {
		e.Status.Conditions = []metav1.Condition{
			{Type: condition, Status: metav1.ConditionTrue, Reason: "AccessDenied", Message: "the key may not write."},
		}
		e.Status.CompletionTime = &metav1.Time{Time: ended}
		e.Status.Location, e.Status.ManifestDigest = "s3://backups/uid-"+name+"/", "sha256:"+name
		e.Status.Objects, e.Status.Bytes = 7, 1024
	}
	for _, f := range change {
		f(e)
	}
	w.Exports = append(w.Exports, *e)
	return w
}

func now(token string) string { return schedule.NowName("data", "c-1", token) }

func tick(n int) string { return schedule.Name("at", "data", "", "c-1", hour(n)) }

func TestDecide(t *testing.T) {
	const complete = v1alpha1.ConditionComplete
	stamp := func(n int) string { return hour(n).Format(time.RFC3339) }
	foreign := func(e *v1alpha1.S3Export) { e.OwnerReferences = nil }
	deleted := func(w *world) *world { w.Claim.DeletionTimestamp = &metav1.Time{}; return w }
	tests := map[string]struct {
		world     *world
		want      action
		wantName  string // Of the export.
		wantNote  string // name=value.
		wantErrs  bool
		wantAgain time.Duration
		// wantReused is a part of what is told of a token that comes back.
		wantReused string
	}{
		"a place and nothing else": {world: newWorld(hour(1)), want: rest},
		"nothing at all":           {world: newWorld(hour(1), "export-to", "", "export-region", ""), want: rest},
		"invalid": {
			world:    newWorld(hour(1), "export-to", "nonsense", "export-now", "1"),
			want:     rest,
			wantErrs: true,
		},
		"a claim that is going": {world: deleted(newWorld(hour(1), "export-now", "1")), want: rest},
		"a token: one export":   {world: newWorld(hour(1), "export-now", "1"), want: create, wantName: now("1")},
		"its export is there: note it": {
			world:    newWorld(hour(1), "export-now", "1").export(now("1"), "", hour(1)),
			want:     note,
			wantNote: "exported-now=1",
		},
		"it was noted": {world: newWorld(hour(1), "export-now", "1", "exported-now", "1"), want: rest},
		"it was noted, its export ended": {
			world: newWorld(hour(1), "export-now", "1", "exported-now", "1").export(now("1"), complete, hour(1)),
			want:  rest,
		},
		"a new token": {
			world:    newWorld(hour(1), "export-now", "2", "exported-now", "1"),
			want:     create,
			wantName: now("2"),
		},
		"a token that comes back": {
			world: newWorld(hour(3), "export-now", "1", "exported-now", "2").export(now("1"), complete, hour(1)).
				export(now("2"), complete, hour(2)),
			want: note, wantNote: "exported-now=1", wantReused: "S3Export " + now("1") + " of 2026-11-26 01:00:00 UTC",
		},
		"a token that comes back while its export runs": {
			world: newWorld(hour(3), "export-now", "1", "exported-now", "2").export(now("1"), "", hour(1)),
			want:  note, wantNote: "exported-now=1",
		},
		"a token that comes back when its export is gone": {
			world: newWorld(hour(3), "export-now", "1", "exported-now", "2").export(now("2"), complete, hour(2)),
			want:  create, wantName: now("1"),
		},
		"the first token, whose export was over before it was noted": {
			world: newWorld(hour(3), "export-now", "1").export(now("1"), complete, hour(1)),
			want:  note, wantNote: "exported-now=1",
		},
		"a new token beside a run, each with a prefix of its own": {
			world: newWorld(hour(1), "export-now", "2", "exported-now", "1").export(now("1"), "", hour(1)),
			want:  create, wantName: now("2"),
		},
		"a new token beside a run in the same prefix waits": {
			world: newWorld(hour(1), "export-to", "s3://backups/{{.Claim}}", "export-now", "2", "exported-now", "1").
				export(now("1"), "", hour(1)),
			want: rest,
		},
		"it goes on when that has ended": {
			world: newWorld(hour(1), "export-to", "s3://backups/{{.Claim}}", "export-now", "2", "exported-now", "1").
				export(now("1"), complete, hour(1)),
			want: create, wantName: now("2"),
		},
		"a token that is taken away": {world: newWorld(hour(1), "exported-now", "1"), want: rest},
		"a schedule that is new: note the time": {
			world: newWorld(hour(1), "export-schedule", "@hourly"), want: note, wantNote: "exported-tick=" + stamp(1),
		},
		"a note that cannot be read is made anew": {
			world: newWorld(hour(1), "export-schedule", "@hourly", "exported-tick", "x"),
			want:  note, wantNote: "exported-tick=" + stamp(1),
		},
		"before the tick": {
			world: newWorld(hour(1).Add(time.Minute), "export-schedule", "@hourly", "exported-tick", stamp(1)),
			want:  rest, wantAgain: 59 * time.Minute,
		},
		"at the tick": {
			world: newWorld(hour(2), "export-schedule", "@hourly", "exported-tick", stamp(1)), want: create, wantName: tick(2),
		},
		"its export is there": {
			world: newWorld(hour(2), "export-schedule", "@hourly", "exported-tick", stamp(1)).export(tick(2), "", hour(2)),
			want:  note, wantNote: "exported-tick=" + stamp(2),
		},
		"three were missed: the last": {
			world: newWorld(hour(4).Add(time.Minute), "export-schedule", "@hourly", "exported-tick", stamp(1)),
			want:  create, wantName: tick(4),
		},
		"the run before has not ended": {
			world: newWorld(hour(2), "export-schedule", "@hourly", "exported-tick", stamp(1)).export(tick(1), "", hour(1)),
			want:  rest, wantAgain: time.Hour,
		},
		"somebody else's has not": {
			world: newWorld(hour(2), "export-schedule", "@hourly", "exported-tick", stamp(1)).
				export("manual", "", hour(1), foreign),
			want: create, wantName: tick(2),
		},
		"a schedule that is gone is forgotten": {
			world: newWorld(hour(2), "exported-tick", stamp(1)), want: note, wantNote: "exported-tick=",
		},
		"history goes": {
			world: newWorld(hour(5)).export("1", complete, hour(1)).export("2", complete, hour(2)).
				export("3", complete, hour(3)).export("4", complete, hour(4)),
			want: remove, wantName: "1",
		},
		"others' exports are nobody's history": {
			world: newWorld(hour(5)).export("1", complete, hour(1), foreign).export("2", complete, hour(2)).
				export("3", complete, hour(3)).export("4", complete, hour(4)),
			want: rest,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, errs := decide(tt.world.state)
			gotName, gotNote := "", ""
			if d.Export != nil {
				gotName = d.Export.Name
			}
			if d.Annotation != "" {
				gotNote = strings.TrimPrefix(d.Annotation, v1alpha1.Group+"/") + "=" + d.Value
			}
			if d.Action != tt.want || gotName != tt.wantName || gotNote != tt.wantNote || d.Recheck != tt.wantAgain ||
				!strings.Contains(d.Reused, tt.wantReused) || (d.Reused == "") != (tt.wantReused == "") ||
				(len(errs) > 0) != tt.wantErrs {
				t.Errorf("decided to %s %s%s, again in %s, errors %v; want %s %s%s, %s", d.Action, gotName, gotNote, d.Recheck,
					errs, tt.want, tt.wantName, tt.wantNote, tt.wantAgain)
			}
		})
	}
}

func TestExportFor(t *testing.T) {
	w := newWorld(hour(2), "export-secret", "s3", "export-consistency", "Snapshot")
	asked, errs := annotated.ExportOf(w.Claim)
	at := hour(2)
	e := exportFor(w.Claim, asked, "e", &at)
	to := e.Spec.Destination
	if len(errs) > 0 || e.Namespace != "ml" || e.Spec.ClaimName != "data" || !metav1.IsControlledBy(e, w.Claim) ||
		to.Bucket != "backups" || to.Prefix != "{{.Namespace}}/{{.Claim}}/{{.Run}}/" ||
		to.Credentials.SecretRef.Name != "s3" || e.Spec.Consistency != v1alpha1.ConsistencySnapshot ||
		e.Annotations[v1alpha1.AnnotationScheduledAt] != "2026-11-26T02:00:00Z" || e.Labels[v1alpha1.LabelClaimUID] != "c-1" {
		t.Errorf("made %+v, errors %v", e, errs)
	}
}

func TestJudge(t *testing.T) {
	const complete, failed = v1alpha1.ConditionComplete, v1alpha1.ConditionFailed
	told := func(w *world, status corev1.ConditionStatus, reason v1alpha1.Reason) *world {
		w.Claim.Status.Conditions = []corev1.PersistentVolumeClaimCondition{
			{
				Type: "Resizing",
			}, {Type: v1alpha1.ConditionExported, Status: status, Reason: string(reason), Message: "said before"},
		}
		return w
	}
	dry := func(e *v1alpha1.S3Export) { e.Spec.DryRun = true }
	part := func(e *v1alpha1.S3Export) { e.Spec.Exclude = []string{"tmp/**"} }
	shared := func(e *v1alpha1.S3Export) { e.Status.Location = "s3://backups/data/" }
	because := func(reason v1alpha1.Reason) func(*v1alpha1.S3Export) {
		return func(e *v1alpha1.S3Export) {
			e.Status.Conditions = []metav1.Condition{{
				Type: complete, Status: metav1.ConditionFalse, Reason: string(reason),
				Message: "pod app uses it.",
			}}
		}
	}
	changed := func(e *v1alpha1.S3Export) { e.Status.ChangedFiles = 2 }
	pruned := func(e *v1alpha1.S3Export) {
		e.Annotations = map[string]string{v1alpha1.AnnotationPruning: retention.Mark(e, hour(4))}
	}
	invalid := func(w *world) *world { w.Claim.Annotations[v1alpha1.AnnotationExportTo] = "nonsense"; return w }
	const first = "S3Export 1 was complete at 2026-11-26T01:00:00Z: 7 objects, 1024 bytes at s3://backups/uid-1/, " +
		"digest sha256:1."
	tests := map[string]struct {
		world  *world
		status corev1.ConditionStatus
		reason v1alpha1.Reason
		want   []string
	}{
		"nothing": {world: newWorld(hour(5))},
		"one is under way": {
			newWorld(hour(5)).export("1", "", hour(1)),
			"Unknown",
			"Exporting",
			[]string{"S3Export 1 has not ended"},
		},
		"one is complete": {
			newWorld(hour(5)).export("1", complete, hour(1)),
			"True",
			"Exported",
			[]string{first},
		},
		"files changed meanwhile": {
			newWorld(hour(5)).export("1", complete, hour(1), changed),
			"True",
			"Exported",
			[]string{first, "2 files changed"},
		},
		"the next one is under way": {
			newWorld(hour(5)).export("1", complete, hour(1)).export("2", "", hour(2)),
			"True",
			"Exported",
			[]string{first},
		},
		"the newest complete one counts": {
			newWorld(hour(5)).export("2", complete, hour(2)).export("1", complete, hour(1)),
			"True",
			"Exported",
			[]string{"S3Export 2 was complete"},
		},
		"one failed": {
			newWorld(hour(5)).export("1", failed, hour(1)), "False", "ExportFailed",
			[]string{
				"S3Export 1 failed at 2026-11-26T01:00:00Z: AccessDenied: the key may not write. No complete S3Export is known.",
			},
		},
		"one failed since": {
			newWorld(hour(5)).export("1", complete, hour(1)).export("2", failed, hour(2)), "False", "ExportFailed",
			[]string{"S3Export 2 failed", first},
		},
		"one failed before": {
			newWorld(hour(5)).export("2", complete, hour(2)).export("1", failed, hour(1)),
			"True",
			"Exported",
			nil,
		},
		"runs share a place": {
			newWorld(hour(5)).export("1", complete, hour(1), shared), "True", "Exported",
			[]string{"at s3://backups/data/, digest", "sha256:1. Runs share that place: from the start of a later run"},
		},
		"one waits": {
			newWorld(hour(5)).export("1", "", hour(1), because(v1alpha1.ReasonClaimInUse)), "Unknown", "Exporting",
			[]string{"No complete one is known. S3Export 1 waits: ClaimInUse: pod app uses it."},
		},
		"one waits after a complete one": {
			newWorld(hour(5)).export("1", complete, hour(1)).export("2", "", hour(2), because(v1alpha1.ReasonUserUnknown)),
			"True", "Exported",
			[]string{first + " S3Export 2 waits: UserUnknown: pod app"},
		},
		"one waits after one that failed": {
			newWorld(hour(5)).export("1", failed, hour(1)).export("2", "", hour(2), because(v1alpha1.ReasonUserUnknown)),
			"False", "ExportFailed",
			[]string{"S3Export 1 failed", "S3Export 2 waits: UserUnknown"},
		},
		"a part after all of it": {
			newWorld(hour(5)).export("1", complete, hour(1)).export("2", complete, hour(2), part), "True", "Exported",
			[]string{"S3Export 2 was complete", "It holds a part of the volume. " + first},
		},
		"a part does not make all of it good": {
			newWorld(hour(5)).export("1", failed, hour(1)).export("2", complete, hour(2), part), "False", "ExportFailed",
			[]string{"S3Export 1 failed", "S3Export 2 was complete"},
		},
		"a part makes a part good": {
			newWorld(hour(5)).export("1", failed, hour(1), part).export("2", complete, hour(2), part), "True", "Exported", nil,
		},
		"a failure of all of it behind one of a part that was made good": {
			newWorld(hour(5)).export("1", failed, hour(1)).export("2", failed, hour(2), part).
				export("3", complete, hour(3), part), "False", "ExportFailed", []string{"S3Export 1 failed"},
		},
		"all of it makes a part good": {
			newWorld(hour(5)).export("1", failed, hour(1), part).export("2", complete, hour(2)), "True", "Exported", nil,
		},
		"one whose objects are being removed is none": {
			newWorld(hour(5)).export("1", complete, hour(1)).export("2", complete, hour(2), pruned), "True", "Exported",
			[]string{first},
		},
		"it makes nothing good": {
			newWorld(hour(5)).export("1", failed, hour(1)).export("2", complete, hour(2), pruned), "False", "ExportFailed",
			[]string{"S3Export 1 failed", "No complete S3Export is known."},
		},
		"it is not all of the volume": {
			newWorld(hour(5)).export("1", complete, hour(1)).export("2", complete, hour(2), pruned).
				export("3", complete, hour(3), part), "True", "Exported",
			[]string{"S3Export 3 was complete", "It holds a part of the volume. " + first},
		},
		"what was said of one that is gone is not said of it": {
			world: told(newWorld(hour(5)).export("1", complete, hour(1), pruned), "True", v1alpha1.ReasonExported),
		},
		"a dry run is none": {world: newWorld(hour(5)).export("1", complete, hour(1), dry)},
		"invalid annotations": {
			invalid(
				newWorld(hour(5)).export("1", complete, hour(1)),
			), "False", "InvalidAnnotations", []string{"must begin with s3://", first},
		},
		"they were corrected": {
			told(newWorld(hour(5)), "False", v1alpha1.ReasonInvalidAnnotations), "Unknown", "NotExported", nil,
		},
		"what was said of exports that are gone stays": {world: told(newWorld(hour(5)), "True", v1alpha1.ReasonExported)},
		"it stays while the next is under way": {
			world: told(newWorld(hour(5)).export("2", "", hour(2)), "True", v1alpha1.ReasonExported),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, errs := decide(tt.world.state)
			v := judge(tt.world.state, errs)
			if v.Status != tt.status || v.Reason != tt.reason {
				t.Fatalf("judged %+v, want %s, %s", v, tt.status, tt.reason)
			}
			for _, want := range tt.want {
				if !strings.Contains(v.Message, want) {
					t.Errorf("message %q, want %q in it", v.Message, want)
				}
			}
			next, changed := v.next(tt.world.Claim, tt.world.Now)
			if changed != (tt.status != "") {
				t.Errorf("the condition changes: %t", changed)
			}
			tt.world.Claim.Status.Conditions = []corev1.PersistentVolumeClaimCondition{next}
			if _, again := v.next(tt.world.Claim, tt.world.Now.Add(time.Hour)); again {
				t.Error("the condition goes on changing")
			}
		})
	}
}

// TestAClockThatWasAhead: a tick that it noted is noted anew, and told; a little ahead is nothing.
func TestAClockThatWasAhead(t *testing.T) {
	w := newWorld(hour(3), "export-schedule", "@hourly", "exported-tick", hour(9).Format(time.RFC3339))
	d, _ := decide(w.state)
	if d.Action != note || d.Value != hour(3).Format(time.RFC3339) || !d.Ahead.Equal(hour(9)) ||
		!strings.Contains(aheadNote(d.Ahead), "2026-11-26T09:00:00Z, which is in the future") {
		t.Errorf("decided %+v", d)
	}
	w = newWorld(hour(3), "export-schedule", "@yearly", "exported-tick", hour(3).Add(30*time.Second).Format(time.RFC3339))
	if d, _ = decide(w.state); d.Action != rest || d.Recheck != time.Hour {
		t.Errorf("decided %+v", d)
	}
}
