// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// run is another import into the same claim.
func run(name string, changes ...change) v1alpha1.S3Import {
	s := world(changes...)
	s.Import.Name, s.Import.UID = name, "i-"+s.Import.UID
	return *s.Import
}

func waitsFor(reason v1alpha1.Reason) change {
	return func(s *State) {
		s.Import.Status.Conditions = []metav1.Condition{{
			Type: v1alpha1.ConditionComplete, Status: metav1.ConditionFalse, Reason: string(reason),
		}}
	}
}

func older(s *State) { s.Import.CreationTimestamp = ago(2 * time.Hour) }

// Of two imports into one claim exactly one comes first.
func TestAhead(t *testing.T) {
	t.Parallel()
	record := func(s *State) { s.Import.Labels = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy} }
	token := func(s *State) {
		s.Import.Labels = map[string]string{
			v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelRole: v1alpha1.RoleImport,
		}
	}
	for name, tt := range map[string]struct {
		other v1alpha1.S3Import
		want  bool
	}{
		"an older one":           {run("z", older), true},
		"a younger one":          {run("a", func(s *State) { s.Import.CreationTimestamp = ago(time.Minute) }), false},
		"one of the same second": {run("a"), true},
		"by its name":            {run("z"), false},
		"a younger one that began": {
			run("z", begunOnce, func(s *State) { s.Import.CreationTimestamp = ago(time.Minute) }), true,
		},
		"one that is over":       {run("a", older, over(v1alpha1.ConditionComplete, time.Hour)), false},
		"one that is suspended":  {run("a", older, begunOnce, suspended), false},
		"one that is deleted":    {run("a", older, deleted), false},
		"one of another claim":   {run("a", older, func(s *State) { s.Import.Spec.ClaimName = "other" }), false},
		"a record":               {run("a", older, record), false},
		"one that has no source": {run("a", older, waitsFor(v1alpha1.ReasonSourceNotFound)), false},
		"one that is refused":    {run("a", older, waitsFor(v1alpha1.ReasonMoverRefused)), false},
		"one that began and has no source": {
			run("a", older, begunOnce, waitsFor(v1alpha1.ReasonSourceNotFound)), false,
		},
		"one that is loaded, of an export that is not found": {
			run("a", older, begunOnce, waitsFor(v1alpha1.ReasonExportNotFound)), false,
		},
		"one that is refused and has begun": {
			run("a", older, begunOnce, waitsFor(v1alpha1.ReasonMoverRefused)), true,
		},
		"one that is queued": {run("a", older, waitsFor(v1alpha1.ReasonQueued)), true},
		"one of a token":     {run("a", older, token), true},
	} {
		own := world().Import
		got := Ahead(own, []v1alpha1.S3Import{*own, tt.other})
		if (got != "") != tt.want {
			t.Errorf("%s: %q is ahead", name, got)
		}
		if back := Ahead(&tt.other, []v1alpha1.S3Import{*own, tt.other}); got != "" && back != "" {
			t.Errorf("%s: each waits for the other", name)
		}
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	pod := func(changes ...func(*corev1.Pod)) corev1.Pod {
		s := world(mover(corev1.PodRunning, append(changes, func(p *corev1.Pod) {
			p.Labels[v1alpha1.LabelImportUID] += "x"
			p.Annotations[v1alpha1.AnnotationImport] = "other"
		})...))
		return *s.Mover
	}
	own := world(mover(corev1.PodRunning))
	for name, tt := range map[string]struct {
		pod  corev1.Pod
		want string
	}{
		"one that runs":      {pod(), "other"},
		"one that is ending": {pod(deleting), "other"},
		"one that has ended": {pod(reports(done)), ""},
		"its own":            {*own.Mover, ""},
		"of another claim":   {pod(func(p *corev1.Pod) { p.Annotations[v1alpha1.AnnotationClaimUID] = "c-2" }), ""},
	} {
		got := ""
		if p := Busy(own.Import, own.Claim, []corev1.Pod{tt.pod}); p != nil {
			got = p.Annotations[v1alpha1.AnnotationImport]
		}
		if got != tt.want {
			t.Errorf("%s: busy with %q, want %q", name, got, tt.want)
		}
	}
}

// The status has the numbers of the report, and forgets nothing that it does not speak of.
func TestStatus(t *testing.T) {
	t.Parallel()
	s := world(mover(corev1.PodSucceeded, reports(done)), failures(3))
	next := Status(s, Decide(s, defaults))
	if next.Phase != v1alpha1.ImportSucceeded || next.Objects != 3 || next.Bytes != 10 || next.FetchedBytes != 4 ||
		next.UnchangedObjects != 2 || next.RemovedFiles != 1 || next.ManifestDigest != "sha256:x" ||
		next.Progress.Percent != 100 || next.Progress.BytesPerSecond != 2 || next.EndedMover != "m-1" ||
		next.CompletionTime == nil || next.Failures != 0 || next.ClaimUID != "c-1" || next.Engine != "Native" {
		t.Errorf("the status is %+v", next)
	}
	odd := done
	odd.Engine, odd.Bottleneck = "Steam", "Coal"
	s = world(mover(corev1.PodSucceeded, reports(odd)))
	if next := Status(s, Decide(s, defaults)); next.Engine != "" || next.Bottleneck != "" {
		t.Errorf("words of a tenant's pod are in the status: %+v", next)
	}
	progressed := broken
	progressed.Class, progressed.Progressed = wire.RetryUncounted, true
	s = world(failures(5), mover(corev1.PodFailed, reports(progressed)))
	if next := Status(s, Decide(s, defaults)); next.Failures != 0 || next.NextAttemptTime == nil {
		t.Errorf("after progress the status is %+v", next)
	}
	s = world(mover(corev1.PodFailed, reports(denied)))
	if next := Status(s, Decide(s, defaults)); next.Phase != v1alpha1.ImportFailed || next.NextAttemptTime != nil ||
		next.CompletionTime == nil {
		t.Errorf("after a failure the status is %+v", next)
	}
	s = world(unnoted)
	next = Status(s, Decide(s, defaults))
	if next.Selection == nil || next.Selection.Prefix != "beta/" || next.Attempts != 0 {
		t.Errorf("before the first mover the status is %+v", next)
	}
	s = world()
	next = Status(s, Decide(s, defaults))
	if next.Attempts != 1 || next.ClaimUID != "c-1" || next.StartTime == nil || next.Phase != v1alpha1.ImportPending {
		t.Errorf("with its first mover the status is %+v", next)
	}
}

// The pod writes where the volume is mounted, as who uses it, in the name of its import, and is told the part that was
// chosen.
func TestMover(t *testing.T) {
	t.Parallel()
	s := world(func(s *State) {
		s.Import.Spec.Prefix, s.Import.Spec.DeleteExtra = "beta/sub", true
		s.Source.Spec.Transfer = v1alpha1.Transfer{Engine: "Auto", MaxMovers: 2}
		s.Source.Spec.Mover.Env = []corev1.EnvVar{{Name: "HTTPS_PROXY", Value: "http://proxy"}}
	})
	pod, err := Mover(s, Options{Defaults: defaults})
	if err != nil {
		t.Fatal(err)
	}
	request, err := wire.ParseArgs(pod.Spec.Containers[0].Args)
	if err != nil {
		t.Fatal(err)
	}
	if request.Operation != wire.Import || request.Source.Prefix != "beta/sub/" || request.Volume.TargetPath != "sub" ||
		request.Volume.ClaimUID != "c-1" || request.Transfer.Engine != wire.EngineNative || request.Attempt != 1 ||
		request.Import != (wire.ImportOptions{Run: "i-1", DeleteExtra: true}) {
		t.Errorf("the mover is asked for %+v", request)
	}
	volume := pod.Spec.Volumes[1]
	if c := volume.PersistentVolumeClaim; c == nil || c.ReadOnly || c.ClaimName != "data" {
		t.Errorf("the volume is %+v", volume)
	}
	security := pod.Spec.SecurityContext
	if security.FSGroup != nil || *security.RunAsUser != 1000 ||
		!slices.Equal(security.SupplementalGroups, []int64{2000}) {
		t.Errorf("the pod runs as %+v", security)
	}
	terms := pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	if terms[0].MatchFields[0].Values[0] != "a" || !metav1.IsControlledBy(pod, s.Import) ||
		pod.Spec.Containers[0].Env[0].Name != "HTTPS_PROXY" {
		t.Errorf("the pod is %+v", pod)
	}
	if place := PlaceFor(s.Import, s.Source); place.SourceMax != 2 || place.Source != "s-1" ||
		place.Endpoint != "s3.test" {
		t.Errorf("it asks for %+v", place)
	}
}

// Where no pod uses the claim, the volume is written as whom it was filled.
func TestUnusedVolume(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change     change
		user, more int64
	}{
		"by the installation's": {func(*State) {}, 65532, 65532},
		"by the source's owners": {func(s *State) {
			s.Source.Spec.Files = &v1alpha1.Files{UID: new(int64(7)), GID: new(int64(8))}
		}, 7, 8},
		"by the source's own": {func(s *State) {
			s.Source.Spec.Mover.PodSecurityContext = &corev1.PodSecurityContext{
				RunAsUser: new(int64(5)), FSGroup: new(int64(6)),
			}
		}, 5, 6},
	} {
		got, known := securityFor(world(users(), tt.change), defaults)
		if !known || got.FSGroup != nil || *got.RunAsUser != tt.user || !slices.Contains(got.SupplementalGroups, tt.more) {
			t.Errorf("%s: it runs as %+v", name, got)
		}
	}
	if _, err := Mover(world(elsewhere), Options{}); err == nil || !strings.Contains(err.Error(), "spec.prefix") {
		t.Errorf("a mover is made for what its source does not select: %v", err)
	}
}

// A mover that was told to end is counted at once. When it says later that it got further, that counts as if it had
// said so before: what gets further each time goes on, however often it is evicted.
func TestProgressThatIsToldLate(t *testing.T) {
	t.Parallel()
	running := mover(corev1.PodRunning, deleting)
	further := interrupt
	further.Progressed = true
	doneFurther := done
	doneFurther.Progressed = true
	for name, test := range map[string]struct {
		in          State
		disruptions int32
	}{
		"it runs on":           {world(running, told, disruptions(50)), 50},
		"it got no further":    {world(mover(corev1.PodFailed, deleting, reports(interrupt)), told, disruptions(50)), 50},
		"it got further":       {world(mover(corev1.PodFailed, deleting, reports(further)), told, disruptions(50)), 0},
		"and is gone":          {world(vanished(corev1.PodFailed, deleting, reports(further)), told, disruptions(50)), 0},
		"it was complete":      {world(mover(corev1.PodSucceeded, reports(doneFurther)), told, disruptions(50)), 50},
		"it is counted by now": {world(mover(corev1.PodFailed, deleting, reports(further)), disruptions(50)), 0},
	} {
		next := Status(test.in, Decide(test.in, defaults))
		if next.Disruptions != test.disruptions || next.EndedMover != "m-1" && name != "it runs on" {
			t.Errorf("%s: the status is %+v", name, next)
		}
	}
}
