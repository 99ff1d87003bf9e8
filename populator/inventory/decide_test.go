// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

type change func(*state)

func world(changes ...change) state {
	s := state{Now: noon, Source: &v1alpha1.S3Source{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "models",
			Namespace:   "team",
			UID:         "u",
			Generation:  2,
			Annotations: map[string]string{},
		},
		Spec: v1alpha1.S3SourceSpec{
			S3Location: v1alpha1.S3Location{Bucket: "b", Endpoint: "http://s3"},
			Retries:    v1alpha1.Retries{Limit: new(int32(2))},
		},
	}}
	for _, c := range changes {
		c(&s)
	}
	return s
}

func verdict(status metav1.ConditionStatus) change {
	return func(s *state) {
		s.Source.Status.Conditions = []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: status, Reason: "R", ObservedGeneration: 2,
			LastTransitionTime: metav1.NewTime(noon),
		}}
	}
}

func staleVerdict(s *state) {
	verdict(metav1.ConditionTrue)(s)
	s.Source.Status.Conditions[0].ObservedGeneration = 1
}

func taken(s *state) {
	verdict(metav1.ConditionTrue)(s)
	s.Source.Status.Inventory = &v1alpha1.Inventory{ObservedAt: metav1.NewTime(noon.Add(-time.Minute))}
}

func next(after time.Duration) change {
	return func(s *state) { s.Source.Status.NextInventoryTime = new(metav1.NewTime(noon.Add(after))) }
}

func refreshed(s *state) { s.Source.Annotations[v1alpha1.AnnotationRefresh] = "2" }
func skipped(s *state)   { s.Source.Annotations[v1alpha1.AnnotationInventory] = v1alpha1.InventorySkip }
func deleting(s *state)  { s.Source.DeletionTimestamp = new(metav1.NewTime(noon)) }
func periodic(s *state)  { s.Source.Spec.RefreshInterval = &metav1.Duration{Duration: time.Hour} }
func otherSpec(s *state) { s.Source.Generation++ }

func otherDefaults(s *state) { s.Source.Spec.OnEmpty, s.Source.Spec.Transfer.Engine = "Fail", "Auto" }

// pod that ended a minute ago, or runs when the report is nil.
func pod(phase corev1.PodPhase, attempt string, r *wire.Report) change {
	return func(s *state) {
		s.Pod = &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: "inventory-u", CreationTimestamp: metav1.NewTime(noon.Add(-2 * time.Minute)),
				Annotations: map[string]string{
					v1alpha1.AnnotationRequestHash: requestHash(s.Source),
					v1alpha1.AnnotationAttempt:     attempt,
				},
			},
			Status: corev1.PodStatus{Phase: phase},
		}
		if r != nil {
			s.Pod.Status.ContainerStatuses = []corev1.ContainerStatus{
				{Name: moverpod.ContainerName, State: corev1.ContainerState{
					Terminated: &corev1.ContainerStateTerminated{
						ExitCode:   int32(r.Class.ExitCode()),
						Message:    string(r.Encode()),
						FinishedAt: metav1.NewTime(noon.Add(-time.Minute)),
					},
				}},
			}
		}
	}
}

// going is a pod whose grace period ends in a while.
func going(in time.Duration, finalizers ...string) change {
	return func(s *state) {
		s.Pod.DeletionTimestamp, s.Pod.Finalizers = new(metav1.NewTime(noon.Add(in))), finalizers
	}
}

var (
	done = pod(
		corev1.PodSucceeded,
		"1",
		&wire.Report{Class: wire.Done, Objects: 7, Bytes: 1024, ManifestDigest: "sha256:a"},
	)
	denied = pod(corev1.PodFailed, "1", &wire.Report{Class: wire.User, Reason: wire.AccessDenied, Message: "Wrong keys."})
	down   = func(attempt string) change {
		return pod(
			corev1.PodFailed,
			attempt,
			&wire.Report{Class: wire.Retry, Reason: wire.EndpointUnreachable, Message: "No route."},
		)
	}
)

// throttled is a server that throttles, and has for longer than the verdict stands.
func throttled(attempt string, since time.Time) change {
	return func(s *state) {
		pod(corev1.PodFailed, attempt, &wire.Report{
			Class: wire.RetryUncounted, Reason: wire.Throttled,
			Message: "Slow down.",
		})(s)
		for i := range s.Source.Status.Conditions {
			s.Source.Status.Conditions[i].LastTransitionTime = metav1.NewTime(since)
		}
	}
}

// A server that is waited out leaves the count of failures alone, so that a failure that
// counts has all its attempts afterwards.
func TestWaitingDoesNotCount(t *testing.T) {
	s := world(throttled("3", noon))
	s.Source.Status.Failures = 2
	if got := status(s, decide(s)); got.Failures != 2 || got.NextInventoryTime == nil {
		t.Errorf("status %+v", got)
	}
}

// An inventory says which generation it was taken of, because sizes are computed from it.
func TestInventoryObservesTheGeneration(t *testing.T) {
	s := world(done)
	if got := status(s, decide(s)).Inventory; got == nil || got.ObservedGeneration != s.Source.Generation {
		t.Errorf("inventory %+v of generation %d", got, s.Source.Generation)
	}
}

func TestDecide(t *testing.T) {
	type want struct {
		Action action
		Status metav1.ConditionStatus
		Reason v1alpha1.Reason
	}
	cases := map[string]struct {
		in   state
		want want
		says string
	}{
		"a new source is listed": {
			world(),
			want{startPod, "Unknown", v1alpha1.ReasonTakingInventory},
			"",
		},
		"a changed source is listed again": {
			world(staleVerdict),
			want{startPod, "Unknown", v1alpha1.ReasonTakingInventory},
			"",
		},
		"a refreshed source is listed again": {
			world(taken, refreshed),
			want{startPod, "Unknown", v1alpha1.ReasonTakingInventory},
			"",
		},
		"a listed source rests":                    {world(taken), want{Action: wait}, ""},
		"a listed source rests until its interval": {world(taken, next(time.Minute)), want{Action: wait}, ""},
		"after its interval it is listed again":    {world(taken, next(-time.Second)), want{Action: startPod}, ""},
		"a skipped source is ready": {
			world(skipped),
			want{wait, "True", v1alpha1.ReasonInventorySkipped},
			"",
		},
		"a skipped source loses its pod": {world(done, skipped), want{Action: deletePod}, ""},
		"a deleted source is left alone": {world(done, deleting), want{Action: wait}, ""},
		"a pod of another spec goes":     {world(done, otherSpec), want{Action: deletePod}, ""},
		"a pod of another refresh goes":  {world(done, refreshed), want{Action: deletePod}, ""},
		"a pod of an upgraded manager stays": {
			world(pod(corev1.PodRunning, "1", nil), otherDefaults),
			want{wait, "Unknown", v1alpha1.ReasonTakingInventory},
			"",
		},
		"a running pod is waited for": {
			world(pod(corev1.PodRunning, "1", nil)),
			want{wait, "Unknown", v1alpha1.ReasonTakingInventory},
			"",
		},
		"a running pod of a refresh takes nothing back": {
			world(taken, pod(corev1.PodRunning, "1", nil)),
			want{Action: wait},
			"",
		},
		"a pod that ends is waited for": {world(done, going(-time.Second)), want{Action: wait}, ""},
		"a pod on a node that is lost goes by force": {
			world(pod(corev1.PodRunning, "1", nil), going(-endPatience)),
			want{Action: deletePod},
			"",
		},
		"a finalizer of somebody is told": {
			world(done, going(-endPatience, "example.com/audit")),
			want{wait, "Unknown", v1alpha1.ReasonInventoryPending},
			"example.com/audit",
		},
		"a pod that cannot start is explained": {
			world(pod(corev1.PodPending, "1", nil)),
			want{wait, "Unknown", v1alpha1.ReasonInventoryPending},
			"inventory-u",
		},
		"success is told first": {
			world(done),
			want{wait, "True", v1alpha1.ReasonInventoryTaken},
			"7 objects, 1024 bytes",
		},
		"then its pod goes": {world(done, taken), want{Action: deletePod}, ""},
		"a later success is told too": {
			world(done, verdict("False")),
			want{wait, "True", v1alpha1.ReasonInventoryTaken},
			"",
		},
		"a user's mistake is told and final": {
			world(denied),
			want{wait, "False", v1alpha1.Reason(wire.AccessDenied)},
			"s3populator.io/refresh",
		},
		"and keeps its pod for the logs": {
			world(denied, verdict("False")),
			want{wait, "False", v1alpha1.Reason(wire.AccessDenied)},
			"",
		},
		"a user's mistake is looked at every interval": {
			world(periodic, denied, verdict("False")),
			want{wait, "False", v1alpha1.Reason(wire.AccessDenied)},
			"",
		},
		"a failing server is told before it is retried": {
			world(down("1")),
			want{wait, "False", v1alpha1.Reason(wire.EndpointUnreachable)},
			"",
		},
		"after the back-off its pod goes": {world(down("1"), verdict("False")), want{Action: deletePod}, ""},
		"too many failures are final": {
			world(down("3"), verdict("False")),
			want{wait, "False", v1alpha1.Reason(wire.EndpointUnreachable)},
			"s3populator.io/refresh",
		},
		"a server that throttles is waited out": {
			world(throttled("9", noon.Add(-time.Minute)), verdict("False")),
			want{Action: deletePod},
			"",
		},
		"and says since when": {
			world(verdict("False"), throttled("9", noon.Add(-time.Hour))),
			want{wait, "False", v1alpha1.Reason(wire.Throttled)},
			"since 2026-05-04T11:00:00Z; the next attempt is at 12:14:00",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := decide(c.in)
			if diff := cmp.Diff(c.want, want{d.Action, d.Status, d.Reason}); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			if !strings.Contains(d.Message, c.says) {
				t.Errorf("message %q does not say %q", d.Message, c.says)
			}
		})
	}
}

// TestVerdictsAreFollowed: nothing wakes us when a status was written, so a verdict with
// something left to do brings us back.
func TestVerdictsAreFollowed(t *testing.T) {
	for name, s := range map[string]state{"the pod has to go": world(done), "a retry is due": world(down("1"))} {
		if d := decide(s); d.Action != wait || d.Recheck <= 0 {
			t.Errorf("%s: decided %+v, which nobody follows", name, d)
		}
	}
}

// TestRetriesComeBack plays a failing server: each verdict carries the time of the next
// listing, so that losing the pod loses no retry.
func TestRetriesComeBack(t *testing.T) {
	s := world(down("1"))
	d := decide(s)
	s.Source.Status = status(s, d)
	if got := s.Source.Status; got.Failures != 1 || got.NextInventoryTime == nil ||
		!got.NextInventoryTime.Time.Equal(noon.Add(-time.Minute+firstBackoff)) {
		t.Fatalf("status %+v", got)
	}
	s.Pod = nil
	if d := decide(s); d.Action != startPod {
		t.Errorf("without its pod: %+v", d)
	}
}

// A status says which generation it is about, whatever the verdict: tools wait for that.
func TestStatusObservesTheGeneration(t *testing.T) {
	for name, s := range map[string]state{
		"a failure": world(down("1")), "a success": world(done),
		"a beginning": world(),
	} {
		s.Source.Generation = 7
		d := decide(s)
		if d.Status == "" {
			d.Status = metav1.ConditionUnknown
		}
		if got := status(s, d).ObservedGeneration; got != 7 {
			t.Errorf("%s: observedGeneration is %d, want 7", name, got)
		}
	}
}
