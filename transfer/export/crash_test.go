// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/export/protocol"
)

var errCrash = errors.New("the manager was killed")

var key = types.NamespacedName{Namespace: "team", Name: "run"}

// bench is an API server in memory, a kubelet that answers at once, and a manager that is killed at one
// of its writes. The fake is for that alone: nothing else can kill at every write.
type bench struct {
	t      *testing.T
	client client.Client
	now    time.Time
	// writes of the manager so far, of which one kills it: before it is made or after.
	writes, killAt int
	after          bool
	// report is what movers say; aborts counts the pods that ended uploads, and movers those that ran.
	report         wire.Report
	movers, aborts int
	open           bool // A mover has begun an upload and nobody ended it.
	// steps that movers were told; jobFails and idle are how the Job controller is.
	steps          []wire.Step
	jobFails, idle bool
	// slow movers run on, until somebody ends them.
	slow bool
}

// kindsOfTests has no more than is needed: the fake looks at all of it for each run.
var kindsOfTests = sync.OnceValues(func() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	return s, errors.Join(corev1.AddToScheme(s), batchv1.AddToScheme(s), storagev1.AddToScheme(s), v1alpha1.AddToScheme(s))
})

func newBench(t *testing.T, report wire.Report, killAt int, after bool) *bench {
	t.Helper()
	s, err := kindsOfTests()
	if err != nil {
		t.Fatal(err)
	}
	e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: "e-1"}}
	e.Spec.ClaimName = "data"
	e.Spec.Retries.Limit = new(int32(0))
	e.Spec.Destination.S3Location = v1alpha1.S3Location{Endpoint: "http://s3.test", Bucket: "backups"}
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "data", UID: "c-1"},
		Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
	}
	b := &bench{t: t, now: time.Now(), killAt: killAt, after: after, report: report}
	b.client = fake.NewClientBuilder().WithScheme(
		s,
	).WithObjects(
		e,
		claim,
	).WithStatusSubresource(
		e,
		claim,
		&corev1.Pod{},
		&batchv1.Job{},
	).WithIndex(e, indexClaim, func(o client.Object) []string {
		return []string{o.(*v1alpha1.S3Export).Spec.ClaimName}
	}).WithIndex(e, indexPlace, place).WithIndex(&batchv1.Job{}, metav1.ObjectNameField, func(o client.Object) []string {
		return []string{o.GetName()}
	}).WithIndex(&corev1.Event{}, "involvedObject.uid", func(o client.Object) []string {
		return []string{string(o.(*corev1.Event).InvolvedObject.UID)}
	}).WithIndex(&corev1.Event{}, "type", func(o client.Object) []string {
		return []string{o.(*corev1.Event).Type}
	}).Build()
	return b
}

// step is one pass of a manager that was just started, and then of the kubelet.
func (b *bench) step() {
	b.t.Helper()
	b.stepOf(b.reconciler(b.manager()))
}

// stepOf is one pass of a manager, and then of the kubelet.
func (b *bench) stepOf(r *Reconciler) {
	b.t.Helper()
	result, err := r.Reconcile(b.t.Context(), ctrl.Request{NamespacedName: key})
	if err != nil && !errors.Is(err, errCrash) {
		b.t.Fatal(err)
	}
	b.now = b.now.Add(max(time.Second, result.RequeueAfter))
	b.kubelet()
	if !b.idle {
		b.jobController()
	}
}

func (b *bench) reconciler(c client.Client) *Reconciler {
	return &Reconciler{
		Client: c, Live: b.client, Events: &events.FakeRecorder{}, Started: b.now,
		Options: Options{
			Defaults: moverpod.Defaults{RunAs: moverpod.NonRoot}, Now: func() time.Time { return b.now },
			ProgressCA: func() []byte { return nil }, Image: moverpod.Image{Name: "mover"},
		},
	}
}

// manager is a client whose writes are counted, and one of which is the last of its process.
func (b *bench) manager() client.Client {
	write := func(do func() error) error {
		b.writes++
		if b.writes == b.killAt && !b.after {
			return errCrash
		}
		err := do()
		if b.writes == b.killAt {
			return errCrash
		}
		return err
	}
	return interceptor.NewClient(b.client.(client.WithWatch), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return write(func() error {
				o.SetUID(types.UID(fmt.Sprintf("pod-%d", b.writes)))
				o.SetCreationTimestamp(metav1.NewTime(b.now))
				return c.Create(ctx, o, opts...)
			})
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, _ ...client.DeleteOption) error {
			return write(func() error { return c.Delete(ctx, o) }) // The fake knows no preconditions.
		},
		Patch: func(
			ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption,
		) error {
			return write(func() error { return c.Patch(ctx, o, p, opts...) })
		},
		SubResourcePatch: func(
			ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch,
			opts ...client.SubResourcePatchOption,
		) error {
			return write(func() error { return c.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
	})
}

// export is nil when it is gone.
func (b *bench) export() *v1alpha1.S3Export {
	b.t.Helper()
	e := &v1alpha1.S3Export{}
	err := b.client.Get(b.t.Context(), key, e)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return e
}

func (b *bench) pods() int {
	b.t.Helper()
	var pods corev1.PodList
	if err := b.client.List(b.t.Context(), &pods); err != nil {
		b.t.Fatal(err)
	}
	return len(pods.Items)
}

// settle plays until three passes in a row write nothing.
func (b *bench) settle() {
	b.t.Helper()
	const most = 60
	for quiet, passes := 0, 0; quiet < 3; passes++ {
		before := b.writes
		b.step()
		quiet++
		if b.writes != before {
			quiet = 0
		}
		if passes > most {
			b.t.Fatalf("there is no end of it: %+v", b.export())
		}
	}
}

// A manager that is killed before or after any of its writes is followed by one that brings the run to
// the same end: complete, with nothing left of it but itself.
func TestKilledAtEveryWrite(t *testing.T) {
	done := wire.Report{Class: wire.Done, Objects: 3, Bytes: 7, ManifestDigest: "sha256:x"}
	for name, test := range map[string]struct {
		report wire.Report
		phase  v1alpha1.ExportPhase
		pods   int // Of a failed run the last mover stays.
	}{
		"complete": {done, v1alpha1.ExportSucceeded, 0},
		"failed":   {wire.Report{Class: wire.User, Reason: wire.AccessDenied, Message: "no"}, v1alpha1.ExportFailed, 1},
	} {
		for killAt := range 10 {
			for _, after := range []bool{false, true} {
				b := newBench(t, test.report, killAt, after)
				b.settle()
				e := b.export()
				if e.Status.Phase != test.phase || protocol.Guarded(e) || b.pods() != test.pods || b.open {
					t.Errorf("%s, killed at write %d (after it: %v): %+v, finalizers %v, %d pods, open uploads: %v",
						name, killAt, after, e.Status, e.Finalizers, b.pods(), b.open)
				}
				if b.movers != 1 || e.Status.Attempts != 1 {
					t.Errorf("%s, killed at write %d: %d movers ran, the status says %d", name, killAt, b.movers, e.Status.Attempts)
				}
			}
		}
	}
}

// The pod of a failed run stays for its logs, and keeps no claim that is deleted after that.
func TestFailedMoverKeepsNoDeletedClaim(t *testing.T) {
	b := newBench(t, wire.Report{Class: wire.User, Reason: wire.AccessDenied, Message: "no"}, 0, false)
	claim := &corev1.PersistentVolumeClaim{}
	if err := b.client.Get(t.Context(), types.NamespacedName{Namespace: "team", Name: "data"}, claim); err != nil {
		t.Fatal(err)
	}
	r := &Reconciler{Client: b.client}
	b.settle()
	if woken := r.fromClaim(t.Context(), claim); b.pods() != 1 || len(woken) > 0 {
		t.Fatalf("before the claim is deleted there are %d pods, and it wakes %v", b.pods(), woken)
	}
	claim.Finalizers = []string{"kubernetes.io/pvc-protection"}
	if err := errors.Join(b.client.Update(t.Context(), claim), b.client.Delete(t.Context(), claim),
		b.client.Get(t.Context(), client.ObjectKeyFromObject(claim), claim)); err != nil {
		t.Fatal(err)
	}
	if woken := r.fromClaim(t.Context(), claim); len(woken) != 1 || woken[0].NamespacedName != key {
		t.Errorf("the claim that is being deleted wakes %v", woken)
	}
	b.settle()
	if b.pods() > 0 || b.export().Status.Phase != v1alpha1.ExportFailed {
		t.Errorf("%d pods keep the claim, the export is %s", b.pods(), b.export().Status.Phase)
	}
}

// An export before a deletion stays until its volume is given back, also when somebody deletes the export claim.
func TestALastExportOutlivesItsExportClaim(t *testing.T) {
	b := newBench(t, wire.Report{Class: wire.Done, ManifestDigest: "sha256:x"}, 0, false)
	e := b.export()
	e.Labels = map[string]string{v1alpha1.LabelRole: v1alpha1.RoleFinalExport}
	e.Annotations = map[string]string{v1alpha1.AnnotationExportVolume: "pv"}
	e.Spec.TTLSecondsAfterFinished = new(int32(1))
	volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{
		Name: "pv", Annotations: map[string]string{v1alpha1.AnnotationFinalExport: "{}"},
	}}
	if err := errors.Join(b.client.Update(t.Context(), e), b.client.Create(t.Context(), volume)); err != nil {
		t.Fatal(err)
	}
	b.settle()
	if e = b.export(); e == nil || e.Status.Phase != v1alpha1.ExportSucceeded {
		t.Fatalf("with its export claim there, the export is %+v", e)
	}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: "data"}}
	if err := b.client.Delete(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	b.settle()
	if e = b.export(); e == nil {
		t.Fatal("without its export claim, and with its volume taken, the export is gone")
	}
	volume.Annotations = nil
	if err := b.client.Update(t.Context(), volume); err != nil {
		t.Fatal(err)
	}
	b.settle()
	if e = b.export(); e != nil {
		t.Errorf("its volume was given back, and the export is %+v", e.Status)
	}
}

// An export that is deleted at any moment of its life goes, and leaves neither pods nor open uploads,
// whenever its manager is killed.
func TestDeletedAtEveryMoment(t *testing.T) {
	failing := wire.Report{Class: wire.RetryUncounted, Reason: wire.EndpointUnreachable, Message: "refused"}
	for moment := range 7 {
		for killAt := range 9 {
			b := newBench(t, failing, killAt, killAt%2 == 0)
			for range moment {
				b.step()
			}
			if e := b.export(); e != nil {
				if err := b.client.Delete(t.Context(), e); err != nil {
					t.Fatal(err)
				}
			}
			b.settle()
			b.collectGarbage()
			if b.export() != nil || b.pods() > 0 || b.open {
				t.Errorf("deleted after %d passes, killed at write %d: %+v, %d pods, open uploads: %v",
					moment, killAt, b.export(), b.pods(), b.open)
			}
		}
	}
}

// collectGarbage deletes pods whose owner is gone.
func (b *bench) collectGarbage() {
	b.t.Helper()
	var jobs batchv1.JobList
	if err := b.client.List(b.t.Context(), &jobs); err != nil {
		b.t.Fatal(err)
	}
	for i := range jobs.Items {
		if b.export() == nil {
			if err := b.client.Delete(b.t.Context(), &jobs.Items[i]); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	var pods corev1.PodList
	if err := b.client.List(b.t.Context(), &pods); err != nil {
		b.t.Fatal(err)
	}
	for i := range pods.Items {
		if len(pods.Items[i].OwnerReferences) > 0 && b.export() == nil {
			if err := b.client.Delete(b.t.Context(), &pods.Items[i]); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

// What was seen of a claim a moment ago is good enough while a mover runs, and not once it has ended: the claim
// may have been deleted meanwhile, and no other change will tell.
func TestClaimOfAnEndedMoverIsReadAnew(t *testing.T) {
	b := newBench(t, wire.Report{}, 0, false)
	r := &Reconciler{Live: b.client, Options: Options{Now: func() time.Time { return b.now }}}
	for phase, want := range map[corev1.PodPhase]string{corev1.PodRunning: "seen", corev1.PodFailed: "c-1"} {
		seen := protocol.State{
			Now: b.now, Export: b.export(), Claim: &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{UID: "seen"}},
		}
		r.seen.remember(&seen)
		s := protocol.State{
			Now: b.now, Export: b.export(), Mover: &corev1.Pod{Status: corev1.PodStatus{Phase: phase}},
		}
		if err := r.volume(t.Context(), &s); err != nil || string(s.Claim.UID) != want {
			t.Errorf("%s: claim %s, error %v, want %s", phase, s.Claim.UID, err, want)
		}
	}
}
