// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

func TestEvents(t *testing.T) {
	populating := told(corev1.ConditionUnknown, v1alpha1.ReasonPopulating)
	cases := map[string]struct {
		in   State
		want []string
	}{
		"a population begins":                      {world(), []string{"Normal PopulationStarted"}},
		"the first mover needs no word of its own": {world(boundPrime, toldToWait), nil},
		"a running mover says nothing new":         {world(boundPrime, runningMover, populating), nil},
		"a second attempt is told": {
			world(failedBefore(false, noon.Add(-3600e9)), populating),
			[]string{"Normal Populating"},
		},
		"a missing source is a warning": {world(noSource), []string{"Warning SourceNotFound"}},
		"a missing source is told once": {
			world(noSource, told(corev1.ConditionUnknown, v1alpha1.ReasonSourceNotFound)),
			nil,
		},
		"waiting for a consumer is no event": {world(lateClass), nil},
		"success is told once":               {world(filledPrime, boundToOurs), []string{"Normal PopulationSucceeded"}},
		"rest is silent":                     {world(boundToOurs, toldOfSuccess), nil},
		"a final failure is a warning": {
			world(failedBefore(true, noon), populating),
			[]string{"Warning AccessDenied"},
		},
		"a final failure after a retry is told": {
			world(failedBefore(true, noon), told(corev1.ConditionUnknown, "AccessDenied")),
			[]string{"Warning AccessDenied"},
		},
		"a foreign volume is a warning": {world(boundElsewhere), []string{"Warning BoundElsewhere"}},
		"an aborted population is told": {
			world(boundPrime, runningMover, deleting),
			[]string{"Normal PopulationAborted"},
		},
		"an unpopulated deleted claim is nothing": {world(deleting), nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, e := range EventsFor(c.in, Decide(c.in)) {
				got = append(got, e.Type+" "+string(e.Reason))
				if e.Note == "" {
					t.Errorf("%s has no note", e.Reason)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// withImport is the run that a world's claim already has.
func withImport(s *State) {
	s.Import = ImportFor(s.Claim)
	s.Import.Generation = 1
}

func TestImportStatus(t *testing.T) {
	moving := func(s *State) {
		runningMover(s)
		s.Mover.Annotations[v1alpha1.AnnotationProgress] = encoded(wire.Snapshot{
			Phase: wire.Transferring, ObjectsDone: 3, ObjectsTotal: 7, BytesDone: 512 << 20, BytesTotal: 1 << 30,
			BytesPerSecond: 64 << 20,
		})
	}
	cases := map[string]struct {
		in   State
		want v1alpha1.S3ImportStatus
	}{
		"a pending mover": {
			world(boundPrime, pendingMover, withImport),
			v1alpha1.S3ImportStatus{ObservedGeneration: 1, Phase: v1alpha1.ImportPending, Attempts: 1},
		},
		"a moving mover": {
			world(boundPrime, moving, withImport),
			v1alpha1.S3ImportStatus{
				ObservedGeneration: 1,
				Phase:              v1alpha1.ImportRunning,
				Attempts:           1,
				Progress: &v1alpha1.ImportProgress{
					Percent: 50, BytesPerSecond: 64 << 20, Rate: "64Mi/s", ETA: "8s",
					Objects: v1alpha1.Counter{Done: 3, Total: 7, Text: "3/7"},
					Bytes:   v1alpha1.Counter{Done: 512 << 20, Total: 1 << 30, Text: "512Mi/1.0Gi"},
				},
			},
		},
		"a final failure": {
			world(failedBefore(true, noon), userMover, withImport),
			v1alpha1.S3ImportStatus{
				ObservedGeneration: 1,
				Phase:              v1alpha1.ImportFailed,
				Attempts:           1,
				Conditions: []metav1.Condition{{
					Type: "Failed", Status: "True", Reason: "AccessDenied", ObservedGeneration: 1,
					LastTransitionTime: metav1.NewTime(noon),
				}},
			},
		},
		"a filled prime": {
			world(filledPrime, withImport),
			v1alpha1.S3ImportStatus{
				ObservedGeneration: 1, Phase: v1alpha1.ImportSucceeded, ManifestDigest: "sha256:abc",
				StartTime: new(metav1.NewTime(noon)), CompletionTime: new(metav1.NewTime(noon)),
				Progress: &v1alpha1.ImportProgress{
					Percent: 100, Objects: v1alpha1.Counter{Done: 7, Total: 7, Text: "7/7"},
					Bytes: v1alpha1.Counter{Done: 1 << 20, Total: 1 << 20, Text: "1.0Mi/1.0Mi"},
				},
				Conditions: []metav1.Condition{
					{
						Type:               "Complete",
						Status:             "True",
						Reason:             "Populated",
						ObservedGeneration: 1,
						LastTransitionTime: metav1.NewTime(noon),
					},
				},
			},
		},
	}
	done := cases["a filled prime"].want
	cases["a filled prime whose mover is still there"] = struct {
		in   State
		want v1alpha1.S3ImportStatus
	}{world(filledPrime, moving, withImport, func(s *State) { s.Import.Status = *done.DeepCopy() }), done}
	cases["a new prime after a filled one was lost"] = struct {
		in   State
		want v1alpha1.S3ImportStatus
	}{
		world(boundPrime, pendingMover, withImport, func(s *State) { s.Import.Status = *done.DeepCopy() }),
		v1alpha1.S3ImportStatus{ObservedGeneration: 1, Phase: v1alpha1.ImportPending, Attempts: 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := ImportStatus(c.in, Decide(c.in))
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(metav1.Condition{}, "Message"),
				cmpopts.EquateApproxTime(0)); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMessagesAreCutBetweenCharacters(t *testing.T) {
	long := cut(strings.Repeat("é", messageLimit))
	if !utf8.ValidString(long) || len(long) > messageLimit+len("…") {
		t.Errorf("cut to %d bytes, valid: %t", len(long), utf8.ValidString(long))
	}
}
