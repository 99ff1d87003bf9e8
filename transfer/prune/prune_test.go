// SPDX-License-Identifier: Apache-2.0

package prune

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/kubetest"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/retention"
)

var now = time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)

// world has four complete runs of one claim and policy, r1 the oldest, of which r1 is marked and looked at.
func world(change ...func(*state)) state {
	s := state{Now: now}
	for n := 1; n <= 4; n++ {
		e := v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{
			Namespace: "ml", Name: fmt.Sprintf("r%d", n), UID: types.UID(fmt.Sprintf("uid-%d", n)),
			CreationTimestamp: metav1.NewTime(now.Add(time.Duration(n-10) * time.Hour)),
			Labels:            map[string]string{v1alpha1.LabelClaimUID: "c-1", v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
			Annotations:       map[string]string{},
			OwnerReferences: []metav1.OwnerReference{
				{Kind: "S3ExportPolicy", Name: "nightly", UID: "p-1", Controller: new(true)},
			},
		}}
		e.Spec.ClaimName, e.Spec.Destination.Bucket, e.Spec.Destination.Region = "data", "backups", "x"
		e.Spec.ServerSideEncryption = &v1alpha1.ServerSideEncryption{Type: "AES256"}
		e.Status = v1alpha1.S3ExportStatus{
			Prefix: "ml/data/" + string(e.UID) + "/", ClaimUID: "c-1", ManifestDigest: "sha256:" + e.Name,
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}},
		}
		s.Runs = append(s.Runs, e)
	}
	mark(1)(&s)
	s.Export = &s.Runs[0]
	for _, f := range change {
		f(&s)
	}
	return s
}

func mark(n int) func(*state) {
	return func(s *state) {
		s.Runs[n-1].Annotations[v1alpha1.AnnotationPruning] = retention.Mark(&s.Runs[n-1], now)
	}
}

func run(n int, change func(*v1alpha1.S3Export)) func(*state) {
	return func(s *state) { change(&s.Runs[n-1]) }
}

func mover(age time.Duration, r *wire.Report) func(*state) {
	return func(s *state) {
		s.Mover = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "pod", CreationTimestamp: metav1.NewTime(now.Add(-age))}}
		if r != nil {
			end(s.Mover, *r)
		}
	}
}

func end(pod *corev1.Pod, r wire.Report) {
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: moverpod.ContainerName, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: int32(r.Class.ExitCode()), Message: string(r.Encode()),
		}},
	}}
}

func TestDecide(t *testing.T) {
	done := &wire.Report{Class: wire.Done, Message: "removed 3 objects"}
	partly := &wire.Report{Class: wire.Done, Message: "removed 2 objects; 1 stay", OtherObjects: 1}
	busy := &wire.Report{Class: wire.Retry, Reason: wire.VerificationFailed, Message: "an export has begun."}
	denied := &wire.Report{Class: wire.User, Reason: wire.AccessDenied, Message: "S3 denies access"}
	ofAnother := func(e *v1alpha1.S3Export) { e.Labels[v1alpha1.LabelClaimUID], e.Status.ClaimUID = "c-2", "c-2" }
	markNow := func(n int) func(*state) {
		return func(s *state) {
			s.Runs[n-1].Annotations[v1alpha1.AnnotationPruning] = retention.Mark(&s.Runs[n-1], s.Now)
		}
	}
	ofAPart := func(e *v1alpha1.S3Export) { e.Spec.Path = "part" }
	noPolicy := func(e *v1alpha1.S3Export) { e.OwnerReferences = nil }
	for name, tt := range map[string]struct {
		state   state
		want    action
		kept    string
		reason  v1alpha1.Reason
		told    string
		warning bool
		recheck time.Duration
	}{
		"marked": {state: world(), want: startMover, kept: "r4 r3 r2"},
		"not marked": {
			state: world(run(1, func(e *v1alpha1.S3Export) { e.Annotations = nil })), want: wait,
		},
		"marked by somebody, and not complete": {
			state: world(run(1, func(e *v1alpha1.S3Export) { e.Status.Conditions = nil })), want: wait,
		},
		"marked by somebody, in a shared prefix": {
			state: world(run(1, func(e *v1alpha1.S3Export) { e.Status.Prefix = "ml/data/" })), want: wait,
		},
		"marked by somebody, a dry run": {
			state: world(run(1, func(e *v1alpha1.S3Export) { e.Spec.DryRun = true })), want: wait,
		},
		"marked with the UID of another, as a copy of it": {
			state: world(run(1, func(e *v1alpha1.S3Export) { e.UID = "uid-9" })), want: wait,
		},
		"its policy was deleted without it": {
			state: world(run(1, noPolicy)), want: wait, reason: v1alpha1.ReasonPruneHeld,
			told: "if ml/data/uid-1/.s3populator/manifest.json is", warning: true, recheck: correctedEvery,
		},
		"its policy was deleted while a mover runs": {state: world(run(1, noPolicy), mover(time.Hour, nil)), want: wait},
		"and it is done": {
			state: world(run(1, noPolicy), mover(0, done)), want: deleteExport, reason: v1alpha1.ReasonPruned,
			told: "removed 3 objects.",
		},
		"a source reads it by now": {
			state: world(func(s *state) {
				source := v1alpha1.S3Source{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "restore"}}
				source.Spec.Bucket, source.Spec.Prefix = "backups", "ml/data/uid-1"
				s.Sources = append(s.Sources, source)
			}), want: wait, reason: v1alpha1.ReasonPruneHeld, told: "S3Source ml/restore restores it", warning: true,
			recheck: pruneEvery,
		},
		"those that stay are of a part": {
			state: world(run(2, ofAPart), run(3, ofAPart), run(4, ofAPart)), want: wait, reason: v1alpha1.ReasonPruneHeld,
			told: "no newer complete run", warning: true, recheck: correctedEvery,
		},
		"those that were newer were deleted": {
			state: world(func(s *state) {
				old := s.Runs[3]
				old.CreationTimestamp = metav1.NewTime(s.Runs[0].CreationTimestamp.Add(-time.Hour))
				s.Runs = []v1alpha1.S3Export{s.Runs[0], old}
				s.Export = &s.Runs[0]
			}),
			want: wait, reason: v1alpha1.ReasonPruneHeld, told: "no newer complete run", warning: true, recheck: correctedEvery,
		},
		"deleted": {
			state: world(run(1, func(e *v1alpha1.S3Export) { e.DeletionTimestamp = &metav1.Time{Time: now} })), want: wait,
		},
		"an older one has its turn": {
			state: world(mark(2), func(s *state) { s.Export = &s.Runs[1] }), want: wait, recheck: turnEvery,
		},
		"an older one of another claim has its turn": {
			state: world(mark(2), run(1, ofAnother), func(s *state) { s.Export = &s.Runs[1] }), want: wait, recheck: turnEvery,
		},
		"an older one of another claim is held for long": {
			state: world(run(1, ofAnother), func(s *state) { s.Now = s.Now.Add(10 * time.Minute) }, markNow(2),
				func(s *state) { s.Export = &s.Runs[1] }),
			want: startMover, kept: "r4 r3",
		},
		"an older one of another claim was marked by a clock that was ahead": {
			state: world(run(1, ofAnother), mark(2), func(s *state) {
				s.Runs[0].Annotations[v1alpha1.AnnotationPruning] = retention.Mark(&s.Runs[0], s.Now.Add(24*time.Hour))
				s.Export = &s.Runs[1]
			}),
			want: startMover, kept: "r4 r3",
		},
		"an older one of this claim is held for long": {
			state: world(func(s *state) { s.Now = s.Now.Add(10 * time.Minute) }, markNow(2),
				func(s *state) { s.Export = &s.Runs[1] }),
			want: wait, recheck: turnEvery,
		},
		"it is held for long itself": {
			state: world(func(s *state) { s.Now = s.Now.Add(time.Hour) }, markNow(2)), want: startMover, kept: "r4 r3",
		},
		"its turn": {state: world(mark(2)), want: startMover, kept: "r4 r3"},
		"an older one of another policy": {
			state: world(mark(2), run(1, func(e *v1alpha1.S3Export) { e.OwnerReferences[0].UID = "p-2" }),
				func(s *state) { s.Export = &s.Runs[1] }),
			want: startMover, kept: "r4 r3",
		},
		"what others keep is not kept": {
			state: world(run(2, func(e *v1alpha1.S3Export) { e.OwnerReferences[0].UID = "p-2" }),
				run(3, func(e *v1alpha1.S3Export) { e.Labels[v1alpha1.LabelClaimUID] = "c-2" })),
			want: startMover, kept: "r4",
		},
		"nothing stays": {
			state: world(mark(2), mark(3), mark(4)), want: wait, reason: v1alpha1.ReasonPruneHeld, told: "no newer complete run",
			warning: true, recheck: correctedEvery,
		},
		"a mover": {state: world(mover(time.Hour, nil)), want: wait},
		"a mover that waits for a node": {
			state: world(mover(time.Minute, nil), func(s *state) { s.Mover.Status.Phase = corev1.PodPending }), want: wait,
			recheck: time.Minute,
		},
		"and gets none": {
			state: world(mover(3*time.Minute, nil), func(s *state) { s.Mover.Status.Phase = corev1.PodPending }), want: wait,
			recheck: pruneEvery, reason: v1alpha1.ReasonPruneHeld, told: "cannot start", warning: true,
		},
		"a mover is done": {
			state: world(mover(0, done)), want: deleteExport, reason: v1alpha1.ReasonPruned, told: "removed 3 objects.",
		},
		"and something stays": {
			state: world(mover(0, partly)), want: deleteExport, reason: v1alpha1.ReasonPruned, told: "1 stay", warning: true,
		},
		"a mover has failed": {
			state: world(mover(time.Minute, busy)), want: wait, reason: v1alpha1.ReasonPruneHeld,
			told: "an export has begun (VerificationFailed)", warning: true, recheck: 4 * time.Minute,
		},
		"some time ago": {state: world(mover(5*time.Minute, busy)), want: deleteMover, recheck: time.Second},
		"what somebody has to correct": {
			state: world(mover(5*time.Minute, denied)), want: wait, reason: v1alpha1.ReasonPruneHeld, told: "S3 denies access",
			warning: true, recheck: 55 * time.Minute,
		},
		"long ago": {state: world(mover(time.Hour, denied)), want: deleteMover, recheck: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			d := decide(tt.state)
			var kept []string
			for _, k := range d.Kept {
				kept = append(kept, k.Name)
			}
			if d.Action != tt.want || strings.Join(kept, " ") != tt.kept || d.Recheck != tt.recheck {
				t.Errorf("%s, keeps %q, again in %s; want %s, %q, %s", d.Action, kept, d.Recheck, tt.want, tt.kept, tt.recheck)
			}
			if d.Reason != tt.reason || !strings.Contains(d.Message, tt.told) || d.Reason != "" && d.Normal == tt.warning {
				t.Errorf("tells %s (normal: %t): %s; want %s, %q", d.Reason, d.Normal, d.Message, tt.reason, tt.told)
			}
		})
	}
}

// TestMover: what a mover is told is what it needs to remove the right thing, and a mover understands it.
func TestMover(t *testing.T) {
	s := world()
	pod, err := moverFor(s.Export, decide(s).Kept, Options{Image: moverpod.Image{Name: "mover"}})
	if err != nil {
		t.Fatal(err)
	}
	request, err := wire.ParseArgs(pod.Spec.Containers[0].Args)
	if err != nil {
		t.Fatal(err)
	}
	want := wire.PruneOptions{Claim: "c-1", Digest: "sha256:r1", Kept: []wire.KeptRun{
		{Run: "uid-4", Prefix: "ml/data/uid-4/", Digest: "sha256:r4"},
		{Run: "uid-3", Prefix: "ml/data/uid-3/", Digest: "sha256:r3"},
		{Run: "uid-2", Prefix: "ml/data/uid-2/", Digest: "sha256:r2"},
	}}
	if diff := cmp.Diff(want, request.Prune); diff != "" || request.Operation != wire.Prune ||
		request.Source.Prefix != "ml/data/uid-1/" || request.Export.Run != "uid-1" ||
		request.Export.Encryption.Type != "AES256" {
		t.Errorf("(-want +got):\n%s%+v", diff, request)
	}
	if !isOurs(pod, s.Export) || !metav1.IsControlledBy(pod, s.Export) || pod.Name != "prune-uid-1" {
		t.Errorf("the pod is %+v", pod.ObjectMeta)
	}
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			t.Errorf("it mounts claim %s", v.PersistentVolumeClaim.ClaimName)
		}
	}
}

func server(t *testing.T, s state, more ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	var objects []client.Object
	for i := range s.Runs {
		objects = append(objects, s.Runs[i].DeepCopy())
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(append(objects, more...)...).Build()
}

func pass(t *testing.T, p *kubetest.Process, sees client.WithWatch, live client.Reader, run string) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p.End = cancel
	recorder := events.NewFakeRecorder(100)
	r := &Reconciler{
		Client: p.Client(sees), Live: live, Events: recorder, Now: func() time.Time { return now },
		Options: Options{Image: moverpod.Image{Name: "mover"}},
	}
	request := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "ml", Name: run}}
	for range 2 { // What was told is not told again.
		if _, err := r.Reconcile(ctx, request); err != nil && !errors.Is(err, kubetest.ErrEnd) {
			t.Fatal(err)
		}
	}
	close(recorder.Events)
	var told []string
	for e := range recorder.Events {
		told = append(told, e)
	}
	return told
}

// endMovers ends those that there are, and takes those whose export is gone, as garbage collection does.
func endMovers(t *testing.T, c client.Client) (names []string) {
	t.Helper()
	var pods corev1.PodList
	if err := c.List(t.Context(), &pods); err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		names = append(names, pod.Name)
		e := &v1alpha1.S3Export{}
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: "ml", Name: pod.OwnerReferences[0].Name}, e); err != nil {
			_ = c.Delete(t.Context(), pod)
			continue
		}
		end(pod, wire.Report{Class: wire.Done})
		if err := c.Status().Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// TestAnEndAtEveryWrite: whichever write is the last of its process, the marked runs go, each after its mover, and no
// other.
func TestAnEndAtEveryWrite(t *testing.T) {
	for _, lost := range []bool{true, false} {
		for ends := 1; ; ends++ {
			s := world(mark(2))
			c := server(t, s)
			p := &kubetest.Process{Ends: ends, Lost: lost}
			for range 8 {
				for _, run := range []string{"r1", "r2", "r3", "r4"} {
					pass(t, p, c, c, run)
					if p.Writes >= ends {
						p = &kubetest.Process{Writes: p.Writes}
					}
				}
				if pods := endMovers(t, c); len(pods) > 1 && pods[0] != "prune-uid-1" {
					t.Errorf("end at write %d (lost: %t): movers %q", ends, lost, pods)
				}
			}
			var all v1alpha1.S3ExportList
			if err := c.List(t.Context(), &all); err != nil {
				t.Fatal(err)
			}
			if len(all.Items) != 2 || retention.Pruning(&all.Items[0]) || retention.Pruning(&all.Items[1]) {
				t.Errorf("end at write %d (lost: %t): left are %d", ends, lost, len(all.Items))
			}
			if p.Writes < ends {
				break
			}
		}
	}
}

// TestNoMoverOnWhatACacheSays: what is gone by now does not stay.
func TestNoMoverOnWhatACacheSays(t *testing.T) {
	source := &v1alpha1.S3Source{ObjectMeta: metav1.ObjectMeta{Namespace: "elsewhere", Name: "restore"}}
	source.Spec.Bucket, source.Spec.Prefix = "backups", "ml/data/uid-1/"
	remove := func(n int) func(client.Client, state) error {
		return func(c client.Client, s state) error { return c.Delete(t.Context(), s.Runs[n-1].DeepCopy()) }
	}
	for name, change := range map[string]func(client.Client, state) error{
		"a run that was to stay is gone": remove(4), "the run itself is gone": remove(1),
		"a source reads it": func(c client.Client, _ state) error { return c.Create(t.Context(), source.DeepCopy()) },
	} {
		s := world()
		live, old := server(t, s), server(t, s)
		if err := change(live, s); err != nil {
			t.Fatal(err)
		}
		pass(t, &kubetest.Process{}, kubetest.Cached(live, old), live, "r1")
		if pods := endMovers(t, live); len(pods) > 0 {
			t.Errorf("%s: movers %q", name, pods)
		}
	}
}

// TestItIsToldOnce, on the export and on its policy.
func TestItIsToldOnce(t *testing.T) {
	s := world(mark(2), mark(3), mark(4))
	c := server(t, s)
	told := pass(t, &kubetest.Process{}, c, c, "r1")
	if len(told) != 2 || !strings.HasPrefix(told[0], "Warning PruneHeld") {
		t.Errorf("tells %q", told)
	}
}
