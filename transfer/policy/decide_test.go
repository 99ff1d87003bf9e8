// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// midnight is when the policy of these tests was created; it exports every hour.
var midnight = time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)

func hour(n int) time.Time { return midnight.Add(time.Duration(n) * time.Hour) }

// world is a namespace with claims that the policy selects.
type world struct {
	state
}

func newWorld(now time.Time, claims ...string) *world {
	w := &world{state{Now: now, Policy: &v1alpha1.S3ExportPolicy{
		ObjectMeta: metav1.ObjectMeta{
			Name: "hourly", Namespace: "ml", UID: "p-1", Generation: 3, CreationTimestamp: metav1.NewTime(midnight),
		},
		Spec: v1alpha1.S3ExportPolicySpec{
			ClaimSelector: metav1.LabelSelector{MatchLabels: map[string]string{"export": "hourly"}},
			Schedule:      "0 * * * *", ConcurrencyPolicy: "Forbid", Keep: 2,
			Template: v1alpha1.S3ExportTemplate{Path: "models"},
		},
	}}}
	for _, name := range claims {
		w.claim(name, midnight)
	}
	return w
}

func (w *world) claim(name string, created time.Time, change ...func(*corev1.PersistentVolumeClaim)) *world {
	c := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "ml", UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(created),
		Labels: map[string]string{"export": "hourly"},
	}}
	for _, f := range change {
		f(&c)
	}
	w.Claims = append(w.Claims, c)
	return w
}

// ran adds the export of a claim at a tick.
func (w *world) ran(claim string, tick time.Time, condition string) *world {
	for i := range w.Claims {
		if w.Claims[i].Name != claim {
			continue
		}
		e := exportFor(w.Policy, &w.Claims[i], tick)
		e.UID, e.CreationTimestamp = types.UID("uid-"+e.Name), metav1.NewTime(tick)
		if condition != "" {
			e.Status.Conditions = []metav1.Condition{{Type: condition, Status: metav1.ConditionTrue}}
			e.Status.CompletionTime = &metav1.Time{Time: tick.Add(time.Minute)}
		}
		w.Exports = append(w.Exports, *e)
	}
	return w
}

func (w *world) last(tick time.Time, waiting ...string) *world {
	w.Policy.Status.LastScheduleTime, w.Policy.Status.Waiting = &metav1.Time{Time: tick}, waiting
	return w
}

func (w *world) spec(change func(*v1alpha1.S3ExportPolicySpec)) *world {
	change(&w.Policy.Spec)
	return w
}

// brief names what a decision writes: claim@hour.
func brief(exports []*v1alpha1.S3Export) string {
	var all []string
	for _, e := range exports {
		tick, err := time.Parse(time.RFC3339, e.Annotations[v1alpha1.AnnotationScheduledAt])
		if err != nil {
			return err.Error()
		}
		all = append(all, fmt.Sprintf("%s@%d", e.Spec.ClaimName, tick.Hour()))
	}
	return strings.Join(all, " ")
}

func TestDecide(t *testing.T) {
	const complete, failed = v1alpha1.ConditionComplete, v1alpha1.ConditionFailed
	replace := func(s *v1alpha1.S3ExportPolicySpec) { s.ConcurrencyPolicy = "Replace" }
	allow := func(s *v1alpha1.S3ExportPolicySpec) { s.ConcurrencyPolicy = "Allow" }
	deadline := func(s *v1alpha1.S3ExportPolicySpec) { s.StartingDeadlineSeconds = new(int64(600)) }
	going := func(w *world) *world { w.Exports[0].DeletionTimestamp = &metav1.Time{Time: hour(2)}; return w }
	tests := map[string]struct {
		world                        *world
		wantStart, wantEnd, wantGone string
		wantLast                     int // Hour; 0 is none.
		wantWaiting                  string
		wantReason                   v1alpha1.Reason // Default: Scheduled, or RunsWaiting where claims wait.
		wantEvents                   string
	}{
		"before the first tick": {world: newWorld(hour(1).Add(-1), "a")},
		"at the tick: a run for each claim": {
			world: newWorld(hour(1), "b", "a"), wantStart: "a@1 b@1", wantLast: 1,
		},
		"the tick was looked at": {world: newWorld(hour(1).Add(time.Second), "a").last(hour(1)), wantLast: 1},
		"a restart before it was noted": {
			world:     newWorld(hour(1), "a", "b").ran("a", hour(1), ""),
			wantStart: "b@1",
			wantLast:  1,
		},
		"a run that somebody deleted": {world: newWorld(hour(1).Add(time.Minute), "a").last(hour(1)), wantLast: 1},
		"a claim that was labelled later": {
			world:    newWorld(hour(1).Add(time.Minute), "a", "b").ran("a", hour(1), complete).last(hour(1)),
			wantLast: 1,
		},
		"no claims": {world: newWorld(hour(1)), wantLast: 1},
		"three ticks were missed: one run, for the last": {
			world: newWorld(hour(4).Add(time.Minute), "a").last(hour(1)), wantStart: "a@4", wantLast: 4,
		},
		"a claim that is younger than the tick": {
			world:     newWorld(hour(1).Add(time.Minute), "a").claim("b", hour(1).Add(time.Second)),
			wantStart: "a@1", wantLast: 1,
		},
		"claims that are not selected, are going, or are ours": {
			world: newWorld(hour(1)).
				claim("other", midnight, func(c *corev1.PersistentVolumeClaim) { c.Labels = nil }).
				claim("going", midnight, func(c *corev1.PersistentVolumeClaim) { c.DeletionTimestamp = &metav1.Time{} }).
				claim("s3prime-1", midnight, func(c *corev1.PersistentVolumeClaim) {
					c.Labels[v1alpha1.LabelManagedBy] = v1alpha1.ManagedBy
				}),
			wantLast: 1,
		},
		"Forbid: the run before has not ended": {
			world: newWorld(hour(2), "a", "b").ran("a", hour(1), "").ran("b", hour(1), complete).last(hour(1)), wantStart: "b@2",
			wantLast: 2, wantWaiting: "a",
		},
		"Forbid: it still has not": {
			world: newWorld(
				hour(2).Add(time.Minute),
				"a",
			).ran(
				"a",
				hour(1),
				"",
			).last(
				hour(2),
				"a",
			), wantLast: 2, wantWaiting: "a",
		},
		"Forbid: it has ended": {
			world:     newWorld(hour(2).Add(time.Minute), "a", "b").ran("a", hour(1), failed).last(hour(2), "a"),
			wantStart: "a@2", wantLast: 2,
		},
		"Forbid: it has ended after the deadline": {
			world:    newWorld(hour(2).Add(11*time.Minute), "a").ran("a", hour(1), complete).last(hour(2), "a").spec(deadline),
			wantLast: 2, wantEvents: "MissSchedule",
		},
		"Forbid: the next tick comes first": {
			world: newWorld(hour(3), "a").ran("a", hour(1), "").last(hour(2), "a"), wantLast: 3, wantWaiting: "a",
		},
		"Forbid: a namesake of a claim that waited": {
			world: newWorld(hour(2).Add(time.Hour/2)).claim("a", hour(2).Add(time.Minute)).last(hour(2), "a"), wantLast: 2,
		},
		"Replace: the run before is ended first": {
			world: newWorld(hour(2), "a").ran("a", hour(1), "").last(hour(1)).spec(replace), wantEnd: "a@1", wantLast: 2,
			wantWaiting: "a",
		},
		"Replace: it is ending": {
			world: going(newWorld(hour(2), "a").ran("a", hour(1), "").last(hour(2), "a").spec(replace)), wantLast: 2,
			wantWaiting: "a",
		},
		"Replace: it is gone": {
			world: newWorld(hour(2).Add(time.Minute), "a").last(hour(2), "a").spec(replace), wantStart: "a@2", wantLast: 2,
		},
		"Allow: both run": {
			world:     newWorld(hour(2), "a").ran("a", hour(1), "").last(hour(1)).spec(allow),
			wantStart: "a@2", wantLast: 2,
		},
		"too late": {
			world:    newWorld(hour(1).Add(601*time.Second), "a", "b").spec(deadline),
			wantLast: 1, wantEvents: "MissSchedule",
		},
		"more than a hundred were missed": {
			world: newWorld(hour(200), "a"), wantStart: "a@8", wantLast: 200, wantEvents: "TooManyMissedTimes",
		},
		"a deadline that forgets them": {
			world: newWorld(hour(200), "a").spec(deadline), wantStart: "a@8", wantLast: 200,
		},
		"suspended": {
			world:    newWorld(hour(2), "a").last(hour(1), "a").spec(func(s *v1alpha1.S3ExportPolicySpec) { s.Suspend = true }),
			wantLast: 1, wantWaiting: "a", wantReason: v1alpha1.ReasonSuspended,
		},
		"a schedule that is none": {
			world:      newWorld(hour(1), "a").spec(func(s *v1alpha1.S3ExportPolicySpec) { s.Schedule = "a b c d e" }),
			wantReason: v1alpha1.ReasonInvalidSchedule, wantEvents: "InvalidSchedule",
		},
		"a zone that is none": {
			world:      newWorld(hour(1), "a").spec(func(s *v1alpha1.S3ExportPolicySpec) { s.TimeZone = "Mars" }),
			wantReason: v1alpha1.ReasonInvalidSchedule, wantEvents: "InvalidSchedule",
		},
		"a selector that is none": {
			world: newWorld(hour(1), "a").spec(func(s *v1alpha1.S3ExportPolicySpec) {
				s.ClaimSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Equals"}}
			}),
			wantReason: v1alpha1.ReasonInvalidSelector, wantEvents: "InvalidSelector",
		},
		"history, claim by claim": {
			world: newWorld(hour(5), "a", "b").ran("a", hour(1), failed).ran("a", hour(2), complete).ran("a", hour(3), complete).
				ran("a", hour(4), complete).ran("b", hour(1), complete).ran("b", hour(4), failed).last(hour(5)),
			wantGone: "a@1 a@2", wantLast: 5,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			before := tt.world.Policy.DeepCopy()
			d := decide(tt.world.state)
			if brief(d.Start) != tt.wantStart || brief(d.End) != tt.wantEnd || brief(d.Prune) != tt.wantGone {
				t.Errorf("starts %q, ends %q, removes %q; want %q, %q, %q", brief(d.Start), brief(d.End), brief(d.Prune),
					tt.wantStart, tt.wantEnd, tt.wantGone)
			}
			if last := d.Status.LastScheduleTime; (last == nil) != (tt.wantLast == 0) ||
				last != nil && !last.Time.Equal(hour(tt.wantLast)) {
				t.Errorf("last at %v, want hour %d", last, tt.wantLast)
			}
			if got := strings.Join(d.Status.Waiting, " "); got != tt.wantWaiting {
				t.Errorf("waiting are %q, want %q", got, tt.wantWaiting)
			}
			if tt.wantWaiting != "" && tt.wantReason == "" {
				tt.wantReason = v1alpha1.ReasonRunsWaiting
			}
			checkReady(t, d, tt.wantReason, tt.wantEvents)
			if before.Status.LastScheduleTime != tt.world.Policy.Status.LastScheduleTime &&
				!before.Status.LastScheduleTime.Equal(tt.world.Policy.Status.LastScheduleTime) {
				t.Error("the cached policy was changed")
			}
		})
	}
}

func checkReady(t *testing.T, d decision, reason v1alpha1.Reason, events string) {
	t.Helper()
	if reason == "" {
		reason = v1alpha1.ReasonScheduled
	}
	ready := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.ConditionReady)
	scheduled := reason == v1alpha1.ReasonScheduled || reason == v1alpha1.ReasonRunsWaiting
	followed := scheduled || reason == v1alpha1.ReasonSuspended
	if ready == nil || ready.Reason != string(reason) || (ready.Status == metav1.ConditionTrue) != followed {
		t.Errorf("ready is %+v, want %s", ready, reason)
	}
	if meta.IsStatusConditionTrue(d.Status.Conditions, v1alpha1.ConditionStalled) == followed {
		t.Errorf("the conditions are %+v", d.Status.Conditions)
	}
	var told []string
	for _, e := range d.Events {
		told = append(told, string(e.Reason))
	}
	slices.Sort(told)
	if strings.Join(told, " ") != events {
		t.Errorf("tells %v, want %q", d.Events, events)
	}
	if (d.Status.NextScheduleTime != nil) != scheduled || (d.Recheck > 0) != scheduled || d.Recheck > time.Hour {
		t.Errorf("next at %v, looks again in %s", d.Status.NextScheduleTime, d.Recheck)
	}
}

// TestADecisionThatWasCarriedOutIsTheLast: at rest nothing is written, and nothing is told twice.
func TestADecisionThatWasCarriedOutIsTheLast(t *testing.T) {
	for _, spec := range []func(*v1alpha1.S3ExportPolicySpec){
		func(*v1alpha1.S3ExportPolicySpec) {},
		func(s *v1alpha1.S3ExportPolicySpec) { s.Schedule = "a b c d e" },
		func(s *v1alpha1.S3ExportPolicySpec) { s.Suspend = true },
		func(s *v1alpha1.S3ExportPolicySpec) { s.StartingDeadlineSeconds = new(int64(10)) },
	} {
		w := newWorld(hour(1).Add(time.Minute), "a", "b").claim("raw", midnight, device).spec(spec)
		first := decide(w.state)
		w.Policy.Status = first.Status
		for _, e := range first.Start {
			w.Exports = append(w.Exports, *e)
		}
		second := decide(w.state)
		w.Policy.Status = second.Status // Those that were started are counted.
		third := decide(w.state)
		if len(second.Start)+len(second.Events)+len(third.Start)+len(third.Events) > 0 {
			t.Errorf("%+v: second starts %q, tells %v", w.Policy.Spec, brief(second.Start), second.Events)
		}
		if fmt.Sprint(third.Status) != fmt.Sprint(second.Status) {
			t.Errorf("status goes on changing: %+v, %+v", second.Status, third.Status)
		}
	}
}

func TestExportFor(t *testing.T) {
	w := newWorld(hour(1), "a")
	e := exportFor(w.Policy, &w.Claims[0], hour(1))
	if e.Namespace != "ml" || e.Spec.ClaimName != "a" || e.Spec.Path != "models" || !metav1.IsControlledBy(e, w.Policy) ||
		e.Labels[v1alpha1.LabelClaimUID] != "uid-a" ||
		e.Annotations[v1alpha1.AnnotationScheduledAt] != "2026-11-26T01:00:00Z" ||
		!strings.HasPrefix(e.Name, "hourly-a-") || !strings.HasSuffix(e.Name, "-20261126-010000") {
		t.Errorf("made %+v", e)
	}
}
