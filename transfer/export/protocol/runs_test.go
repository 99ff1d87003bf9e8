// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// run is an export of the world under another name and UID.
func run(name string, changes ...change) v1alpha1.S3Export {
	s := world(changes...)
	s.Export.Name, s.Export.UID = name, types.UID(name)
	return *s.Export
}

func shared(s *State) { s.Export.Spec.Destination.Prefix = "shared/" }

func younger(s *State) { s.Export.CreationTimestamp = ago(time.Minute) }

// Of two runs with one destination one goes first, whichever of them asks.
func TestAhead(t *testing.T) {
	t.Parallel()
	e := run("b", shared)
	for name, test := range map[string]struct {
		other v1alpha1.S3Export
		want  bool
	}{
		"an older one": {
			run("c", shared, func(s *State) { s.Export.CreationTimestamp = ago(2 * time.Hour) }), true,
		},
		"a younger one":                  {run("a", shared, younger), false},
		"a younger one that has begun":   {run("a", shared, younger, begunOnce), true},
		"one of the same second":         {run("a", shared), true},
		"one of the same second, behind": {run("c", shared), false},
		"one with a prefix of its own":   {run("a"), false},
		"one that is over": {
			run("a", shared, unguarded, over(v1alpha1.ConditionFailed, time.Second)), false,
		},
		"one whose uploads are ended": {run("a", shared, over(v1alpha1.ConditionFailed, time.Second)), true},
		"one that writes nothing":     {run("a", shared, dryRun), false},
		"one that is suspended":       {run("a", shared, suspended), false},
		"one in another bucket": {
			run("a", shared, func(s *State) { s.Export.Spec.Destination.Bucket = "other" }), false,
		},
		"one that writes the endpoint with a slash": {
			run("a", shared, func(s *State) { s.Export.Spec.Destination.Endpoint += "/" }), true,
		},
		"one that names a region of the same server": {
			run("a", shared, func(s *State) { s.Export.Spec.Destination.Region = "eu-west-1" }), true,
		},
		"one at another server": {
			run("a", shared, func(s *State) { s.Export.Spec.Destination.Endpoint = "https://other.test" }), false,
		},
		"itself": {e, false},
	} {
		all := []v1alpha1.S3Export{test.other}
		if got := Ahead(&e, all, PrefixOf); (got != nil) != test.want {
			t.Errorf("%s is ahead: %v", name, got != nil)
		}
		if test.other.UID != e.UID && test.want && Ahead(&test.other, []v1alpha1.S3Export{e}, PrefixOf) != nil {
			t.Errorf("%s: each waits for the other", name)
		}
	}
}

// Without an endpoint it is AWS, and regions are different places.
func TestRegionsOfAWS(t *testing.T) {
	t.Parallel()
	in := func(region string) change {
		return func(s *State) {
			s.Export.Spec.Destination.S3Location = v1alpha1.S3Location{Region: region, Bucket: "backups"}
		}
	}
	e := run("b", shared, in("eu-west-1"))
	for region, want := range map[string]bool{"eu-west-1": true, "us-east-1": false} {
		if got := Ahead(&e, []v1alpha1.S3Export{run("a", shared, in(region))}, PrefixOf); (got != nil) != want {
			t.Errorf("a run in %s is ahead: %v", region, got != nil)
		}
	}
}

// complete is a run of claim c-1 that ended so long ago.
func completed(since time.Duration) change {
	return func(s *State) {
		over(v1alpha1.ConditionComplete, since)(s)
		s.Export.Status.ClaimUID, s.Export.Status.Prefix = "c-1", "team/data/"+since.String()+"/"
	}
}

func TestLastRun(t *testing.T) {
	t.Parallel()
	old := run("old", completed(time.Hour))
	for name, test := range map[string]struct {
		newer v1alpha1.S3Export
		want  string
	}{
		"the newest one": {run("new", completed(time.Minute)), "new"},
		"none of another claim": {
			run("new", completed(time.Minute), func(s *State) { s.Export.Status.ClaimUID = "c-2" }), "old",
		},
		"none that failed": {
			run("new", completed(time.Minute), func(s *State) { s.Export.Status.Conditions = nil }), "old",
		},
		"none that is being removed": {run("new", completed(time.Minute), func(s *State) {
			s.Export.Annotations = map[string]string{v1alpha1.AnnotationPruning: "new 2026-11-26T00:00:00Z"} // Its UID.
		}), "old"},
		"none that wrote nothing": {
			run("new", completed(time.Minute), dryRun), "old",
		},
		"none with other credentials": {run("new", completed(time.Minute), func(s *State) {
			s.Export.Spec.Destination.Credentials = &v1alpha1.Credentials{ServiceAccountName: "x"}
		}), "old"},
		"none of the same prefix": {
			run("new", completed(time.Minute), func(s *State) { s.Export.Status.Prefix = "own/" }), "old",
		},
	} {
		e := run("e")
		got := Last(&e, []v1alpha1.S3Export{test.newer, old}, "c-1", "own/")
		if got == nil || got.Name != test.want {
			t.Errorf("%s: copies from %+v, want %s", name, got, test.want)
		}
	}
}

// A run that has begun goes on copying from where it began to.
func TestCopyFrom(t *testing.T) {
	t.Parallel()
	last := func(s *State) { s.Runs = []v1alpha1.S3Export{run("old", completed(time.Hour))} }
	if got := copyFrom(world(last)); got != "team/data/1h0m0s/" {
		t.Errorf("a first mover copies from %q", got)
	}
	if got := copyFrom(world(last, begunOnce)); got != "" {
		t.Errorf("a second mover copies from %q, which the first did not", got)
	}
	if got := copyFrom(world(last, func(s *State) { s.Export.Spec.Destination.Key = "k" })); got != "" {
		t.Errorf("one file is copied from %q", got)
	}
}

// The status has the numbers of the report, and forgets nothing that it does not speak of.
func TestStatus(t *testing.T) {
	t.Parallel()
	s := world(mover(corev1.PodSucceeded, reports(done)), failures(3))
	next := Status(s, Decide(s, defaults))
	if next.Phase != v1alpha1.ExportSucceeded || next.Objects != 3 || next.Bytes != 10 || next.SentObjects != 3 ||
		next.ManifestDigest != "sha256:x" || next.Manifest != "team/data/e-1/.s3populator/manifest.json" ||
		next.Location != "s3://backups/team/data/e-1/" || next.Progress.Percent != 100 || next.EndedMover != "m-1" ||
		next.CompletionTime == nil || next.Failures != 0 || next.ClaimUID != "c-1" {
		t.Errorf("the status is %+v", next)
	}
	linked := done
	linked.Links = 2
	s = world(mover(corev1.PodSucceeded, reports(linked)))
	if d := Decide(s, defaults); Status(s, d).Links != 2 || !strings.Contains(d.Message, "10 and 2 symbolic links, ver") {
		t.Errorf("of a run with links it is said: %s", d.Message)
	}
	s = world(mover(corev1.PodSucceeded, reports(done)), dryRun)
	if next := Status(s, Decide(s, defaults)); next.Manifest != "" || next.Phase != v1alpha1.ExportSucceeded {
		t.Errorf("a dry run says %+v", next)
	}
	progressed := broken
	progressed.Class, progressed.Progressed = wire.RetryUncounted, true
	s = world(failures(5), mover(corev1.PodFailed, reports(progressed)))
	if next := Status(s, Decide(s, defaults)); next.Failures != 0 || next.Waits != 0 || next.NextAttemptTime == nil {
		t.Errorf("after progress the status is %+v", next)
	}
	s = world(mover(corev1.PodRunning, deleting))
	if next := Status(s, Decide(s, defaults)); next.Disruptions != 1 || next.Failures != 0 {
		t.Errorf("after an eviction the status is %+v", next)
	}
	s = world()
	next = Status(s, Decide(s, defaults))
	if next.Attempts != 1 || next.ClaimUID != "c-1" || next.StartTime == nil || next.Phase != v1alpha1.ExportPending {
		t.Errorf("with its first mover the status is %+v", next)
	}
}
