// SPDX-License-Identifier: Apache-2.0

// Package gitops_test runs the health checks of this folder as Argo CD and Flux run them, over
// the same objects, and wants the same verdict from both.
package gitops_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// The verdicts, as Argo CD calls them.
const (
	healthy     = "Healthy"
	progressing = "Progressing"
	degraded    = "Degraded"
)

// What is said without a condition's message.
const (
	gone         = "The volume of the claim is gone"
	unheard      = "No status yet"
	beingDeleted = "Pending deletion"
	unlisted     = "Not listed yet"
	stale        = "Not listed since the spec has changed"
	unseen       = "Not looked at yet"
	outdated     = "Not looked at since the spec has changed"
)

// example is an object and what both tools are to make of it; only Argo CD shows a message.
type example struct {
	name    string
	object  client.Object
	verdict string
	message string
}

func TestClaimsOfOthersAreJudgedAsEver(t *testing.T) {
	resize := corev1.PersistentVolumeClaimCondition{
		Type:   corev1.PersistentVolumeClaimFileSystemResizePending,
		Status: corev1.ConditionFalse,
	}
	waiting := corev1.PersistentVolumeClaimCondition{
		Type: "example.com/Populated", Status: corev1.ConditionUnknown, Reason: string(v1alpha1.ReasonWaitForFirstConsumer),
	}
	judge(t, []example{
		{"nothing known", claim(""), progressing, unheard},
		{"Pending", claim(corev1.ClaimPending), progressing, "Pending"},
		{"Bound", claim(corev1.ClaimBound), healthy, "Bound"},
		{"Lost", claim(corev1.ClaimLost), degraded, gone},
		{"a phase to come", claim("Thinking"), progressing, "Thinking"},
		{"Bound, with a condition of others", claim(corev1.ClaimBound, resize), healthy, "Bound"},
		{"Pending, with a condition of others", claim(corev1.ClaimPending, waiting), progressing, "Pending"},
		{"being deleted", deleted(claim(corev1.ClaimBound)), progressing, beingDeleted},
	})
}

func TestOurClaims(t *testing.T) {
	const yes, no, unknown = corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionUnknown
	const pending, bound, lost = corev1.ClaimPending, corev1.ClaimBound, corev1.ClaimLost
	other := corev1.PersistentVolumeClaimCondition{Type: corev1.PersistentVolumeClaimResizing, Status: yes}
	wait := populated(unknown, v1alpha1.ReasonWaitForFirstConsumer)
	judge(t, []example{
		{"waits for its pod", claim(pending, wait), healthy, "because WaitForFirstConsumer"},
		{
			"waits for its pod, with other conditions",
			claim(pending, other, wait, other),
			healthy,
			"because WaitForFirstConsumer",
		},
		{"waits for its pod, without a phase", claim("", wait), progressing, "because WaitForFirstConsumer"},
		{"waits for its pod, in a phase to come", claim("Thinking", wait), progressing, "because WaitForFirstConsumer"},
		{"bound before its wait was over for us", claim(bound, wait), healthy, "because WaitForFirstConsumer"},
		{"lost before its wait was over for us", claim(lost, wait), degraded, gone},
		{
			"no source",
			claim(pending, populated(unknown, v1alpha1.ReasonSourceNotFound)),
			progressing,
			"because SourceNotFound",
		},
		{"is filled", claim(pending, populated(unknown, v1alpha1.ReasonPopulating)), progressing, "because Populating"},
		{"is bound now", claim(pending, populated(unknown, v1alpha1.ReasonRebinding)), progressing, "because Rebinding"},
		{"no reason", claim(pending, populated(unknown, "")), progressing, "Pending"},
		{
			"cannot begin",
			claim(pending, populated(no, v1alpha1.ReasonUnsupportedClaim)),
			degraded,
			"because UnsupportedClaim",
		},
		{
			"failed, with other conditions",
			claim(pending, other, populated(no, "NoSuchBucket"), other),
			degraded,
			"because NoSuchBucket",
		},
		{"holds its data", claim(bound, populated(yes, v1alpha1.ReasonPopulated)), healthy, "because Populated"},
		{
			"holds something else",
			claim(bound, populated(no, v1alpha1.ReasonBoundElsewhere)),
			degraded,
			"because BoundElsewhere",
		},
		{"lost its data", claim(lost, populated(yes, v1alpha1.ReasonPopulated)), degraded, gone},
		{"filled, and not bound", claim(pending, populated(yes, v1alpha1.ReasonPopulated)), progressing, "because Populated"},
		{
			"waited once",
			claim(pending, populated(yes, v1alpha1.ReasonWaitForFirstConsumer)),
			progressing,
			"because WaitForFirstConsumer",
		},
		{"waits for its pod and is deleted", deleted(claim(pending, wait)), progressing, beingDeleted},
		{
			"failed and is deleted",
			deleted(claim(bound, populated(no, v1alpha1.ReasonBoundElsewhere))),
			progressing,
			beingDeleted,
		},
	})
}

func TestSources(t *testing.T) {
	const yes, no, unknown = metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	other := metav1.Condition{Type: "Other", Status: yes, ObservedGeneration: 1}
	bad := metav1.Condition{Type: "Other", Status: no, ObservedGeneration: 2}
	judge(t, []example{
		{"nothing known", source(), progressing, unlisted},
		{"another condition", source(other), progressing, unlisted},
		{"listed", source(other, ready(yes, 2)), healthy, "listing 2"},
		{"listed, with a bad condition of others", source(bad, ready(yes, 2)), healthy, "listing 2"},
		{"cannot be listed", source(ready(no, 2), other), degraded, "listing 2"},
		{"is being listed", source(ready(unknown, 2)), progressing, "listing 2"},
		{"was listed before a change", source(ready(yes, 1)), progressing, stale},
		{"could not be listed before a change", source(ready(no, 1)), progressing, stale},
		{"a condition without a generation", source(ready(yes, 0)), healthy, "listing 0"},
		{"being deleted", deleted(source(ready(yes, 2))), progressing, beingDeleted},
		{"being deleted before it was listed", deleted(source()), progressing, beingDeleted},
	})
}

func TestImports(t *testing.T) {
	failure := metav1.Condition{Type: v1alpha1.ConditionFailed, Status: metav1.ConditionTrue, Message: "no such bucket"}
	recovered := metav1.Condition{Type: v1alpha1.ConditionFailed, Status: metav1.ConditionFalse, Message: "no such bucket"}
	complete := metav1.Condition{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Message: "verified"}
	judge(t, []example{
		{"nothing known", run("", -1), progressing, "Pending"},
		{"not begun", run(v1alpha1.ImportPending, -1), progressing, "Pending"},
		{"begun", run(v1alpha1.ImportRunning, 0), progressing, "Running, 0%"},
		{"runs", run(v1alpha1.ImportRunning, 41), progressing, "Running, 41%"},
		{"runs again", run(v1alpha1.ImportRunning, 41, recovered), progressing, "Running, 41%"},
		{"succeeded", run(v1alpha1.ImportSucceeded, 100, complete), healthy, "Succeeded, 100%"},
		{"failed", run(v1alpha1.ImportFailed, 41, complete, failure), degraded, "Failed, 41%: no such bucket"},
		{"failed at once", run(v1alpha1.ImportFailed, -1), degraded, "Failed"},
		{"being deleted", deleted(run(v1alpha1.ImportSucceeded, 100)), progressing, beingDeleted},
	})
}

func TestExports(t *testing.T) {
	failure := metav1.Condition{Type: v1alpha1.ConditionFailed, Status: metav1.ConditionTrue, Message: "no such bucket"}
	recovered := metav1.Condition{Type: v1alpha1.ConditionFailed, Status: metav1.ConditionFalse, Message: "no such bucket"}
	complete := metav1.Condition{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Message: "verified"}
	remains := metav1.Condition{Type: v1alpha1.ConditionRemovalPending, Status: metav1.ConditionTrue, Message: "refused"}
	judge(t, []example{
		{"nothing known", export("", -1), progressing, "Pending"},
		{"not begun", export(v1alpha1.ExportPending, -1), progressing, "Pending"},
		{"begun", export(v1alpha1.ExportRunning, 0), progressing, "Running, 0%"},
		{"runs again", export(v1alpha1.ExportRunning, 41, recovered), progressing, "Running, 41%"},
		{"suspended", export(v1alpha1.ExportSuspended, 41), progressing, "Suspended, 41%"},
		{"succeeded", export(v1alpha1.ExportSucceeded, 100, complete), healthy, "Succeeded, 100%"},
		{"its snapshot is kept", export(v1alpha1.ExportSucceeded, 100, complete, remains), healthy, "Succeeded, 100%"},
		{"failed", export(v1alpha1.ExportFailed, 41, failure), degraded, "Failed, 41%: no such bucket"},
		{"failed at once", export(v1alpha1.ExportFailed, -1), degraded, "Failed"},
		{"being deleted", deleted(export(v1alpha1.ExportSucceeded, 100)), progressing, beingDeleted},
	})
}

func TestPolicies(t *testing.T) {
	const yes, no = metav1.ConditionTrue, metav1.ConditionFalse
	suspended, invalid := ready(yes, 2), ready(no, 2)
	suspended.Reason, invalid.Reason = string(v1alpha1.ReasonSuspended), string(v1alpha1.ReasonInvalidSchedule)
	stalled := metav1.Condition{Type: v1alpha1.ConditionStalled, Status: yes, ObservedGeneration: 2}
	judge(t, []example{
		{"nothing known", policy(), progressing, unseen},
		{"its runs begin", policy(ready(yes, 2)), healthy, "listing 2"},
		{"suspended", policy(suspended), healthy, "listing 2"},
		{"cannot be followed", policy(invalid, stalled), degraded, "listing 2"},
		{"was looked at before a change", policy(ready(yes, 1)), progressing, outdated},
		{"could not be followed before a change", policy(ready(no, 1)), progressing, outdated},
		{"being deleted", deleted(policy(ready(yes, 2))), progressing, beingDeleted},
	})
}

// judge asks both tools. An empty status is tried twice: as such, and as none at all.
func judge(t *testing.T, examples []example) {
	t.Helper()
	scripts, expressions := argoCD(t), flux(t)
	for _, e := range examples {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(e.object)
		if err != nil {
			t.Fatal(err)
		}
		variants := []map[string]any{fields}
		if status, ok := fields["status"].(map[string]any); ok && len(status) == 0 {
			bare := runtime.DeepCopyJSON(fields)
			delete(bare, "status")
			variants = append(variants, bare)
		}
		for _, object := range variants {
			t.Run(e.name, func(t *testing.T) {
				verdict, message := scripts.judge(t, object)
				if verdict != e.verdict || message != e.message {
					t.Errorf("Argo CD: %s (%s), want %s (%s)", verdict, message, e.verdict, e.message)
				}
				if got := expressions.judge(t, object); got != e.verdict {
					t.Errorf("Flux: %s, want %s", got, e.verdict)
				}
			})
		}
	}
}

func claim(
	phase corev1.PersistentVolumeClaimPhase,
	conditions ...corev1.PersistentVolumeClaimCondition,
) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		Status:   corev1.PersistentVolumeClaimStatus{Phase: phase, Conditions: conditions},
	}
}

// populated is our condition, whose message repeats its reason.
func populated(status corev1.ConditionStatus, reason v1alpha1.Reason) corev1.PersistentVolumeClaimCondition {
	c := corev1.PersistentVolumeClaimCondition{Type: v1alpha1.ConditionPopulated, Status: status, Reason: string(reason)}
	if reason != "" {
		c.Message = "because " + string(reason)
	}
	return c
}

// source has been changed once.
func source(conditions ...metav1.Condition) *v1alpha1.S3Source {
	return &v1alpha1.S3Source{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.KindS3Source},
		ObjectMeta: metav1.ObjectMeta{Generation: 2},
		Status:     v1alpha1.S3SourceStatus{Conditions: conditions},
	}
}

func ready(status metav1.ConditionStatus, generation int64) metav1.Condition {
	return metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: status, ObservedGeneration: generation,
		Message: fmt.Sprintf("listing %d", generation),
	}
}

// run has no progress when percent is negative.
func run(phase v1alpha1.ImportPhase, percent int32, conditions ...metav1.Condition) *v1alpha1.S3Import {
	r := &v1alpha1.S3Import{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "S3Import"},
		Status:   v1alpha1.S3ImportStatus{Phase: phase, Conditions: conditions},
	}
	if percent >= 0 {
		r.Status.Progress = &v1alpha1.ImportProgress{Percent: percent}
	}
	return r
}

// export has no progress when percent is negative.
func export(phase v1alpha1.ExportPhase, percent int32, conditions ...metav1.Condition) *v1alpha1.S3Export {
	e := &v1alpha1.S3Export{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.KindS3Export},
		Status:   v1alpha1.S3ExportStatus{Phase: phase, Conditions: conditions},
	}
	if percent >= 0 {
		e.Status.Progress = &v1alpha1.ImportProgress{Percent: percent}
	}
	return e
}

// policy has been changed once.
func policy(conditions ...metav1.Condition) *v1alpha1.S3ExportPolicy {
	return &v1alpha1.S3ExportPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "S3ExportPolicy"},
		ObjectMeta: metav1.ObjectMeta{Generation: 2},
		Status:     v1alpha1.S3ExportPolicyStatus{Conditions: conditions},
	}
}

func deleted[T client.Object](object T) T {
	object.SetDeletionTimestamp(&metav1.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
	return object
}
