// SPDX-License-Identifier: Apache-2.0

package imports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

var errCrash = errors.New("the manager was killed")

// bench is an API server in memory, a kubelet that answers at once, and a manager that is killed at one
// of its writes. The fake is for that alone: nothing else can kill at every write.
type bench struct {
	t      *testing.T
	client client.Client
	now    time.Time
	// writes of the manager so far, of which one kills it: before it is made or after.
	writes, killAt int
	after          bool
	// report is what movers say, and movers counts those that ran. Slow ones go on running.
	report wire.Report
	slow   bool
	movers int
	// loads are the prefixes of those movers.
	loads []string
	// together is the most movers that were there at once, most is never more than one.
	together int
}

func newBench(t *testing.T, report wire.Report, killAt int, after bool, imports ...*v1alpha1.S3Import) *bench {
	t.Helper()
	s := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(s), v1alpha1.AddToScheme(s)); err != nil {
		t.Fatal(err)
	}
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "data", UID: "c-1"},
		Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
	}
	source := &v1alpha1.S3Source{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "models", UID: "s-1"}}
	source.Spec.S3Location = v1alpha1.S3Location{Endpoint: "http://s3.test", Bucket: "models"}
	b := &bench{t: t, now: time.Now(), killAt: killAt, after: after, report: report}
	build := fake.NewClientBuilder().WithScheme(s).WithObjects(claim, source).
		WithStatusSubresource(&v1alpha1.S3Import{}, claim, &corev1.Pod{}).
		WithIndex(&v1alpha1.S3Import{}, indexClaim, func(o client.Object) []string {
			return names(o, func(i *v1alpha1.S3Import) string { return i.Spec.ClaimName })
		})
	for _, i := range imports {
		build = build.WithObjects(i)
	}
	b.client = build.Build()
	return b
}

func newImport(name string) *v1alpha1.S3Import {
	i := &v1alpha1.S3Import{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, UID: types.UID("i-" + name)}}
	i.Spec.ClaimName, i.Spec.SourceName = "data", "models"
	i.Spec.Retries = &v1alpha1.Retries{Limit: new(int32(0))}
	return i
}

func keyOf(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "team", Name: name}
}

// manager is one that was just started.
func (b *bench) manager() *Reconciler {
	return &Reconciler{
		Client: b.counted(), Live: b.client, Events: &events.FakeRecorder{},
		Options: Options{
			Defaults: moverpod.Defaults{RunAs: moverpod.NonRoot}, Now: func() time.Time { return b.now },
			ProgressCA: func() []byte { return nil }, Image: moverpod.Image{Name: "mover"},
		},
	}
}

// step is one pass of a manager over one import, and then of the kubelet.
func (b *bench) step(r *Reconciler, name string) {
	b.t.Helper()
	result, err := r.Reconcile(b.t.Context(), ctrl.Request{NamespacedName: keyOf(name)})
	if err != nil && !errors.Is(err, errCrash) {
		b.t.Fatal(err)
	}
	b.now = b.now.Add(max(time.Second, result.RequeueAfter))
	b.kubelet()
}

// counted is a client whose writes are counted, and one of which is the last of its process.
func (b *bench) counted() client.Client {
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

// kubelet ends every pod that is new, as its container would have, and collects those whose import is gone.
func (b *bench) kubelet() {
	b.t.Helper()
	running := 0
	for _, pod := range b.pods() {
		if b.find(pod.Annotations[v1alpha1.AnnotationImport]) == nil {
			if err := b.client.Delete(b.t.Context(), &pod); err != nil {
				b.t.Fatal(err)
			}
			continue
		}
		if pod.Status.Phase != "" && pod.Status.Phase != corev1.PodRunning {
			continue
		}
		running++
		if pod.Status.Phase == "" {
			b.movers++
			request, err := wire.ParseArgs(pod.Spec.Containers[0].Args)
			if err != nil {
				b.t.Fatal(err)
			}
			b.loads = append(b.loads, request.Source.Prefix)
		}
		pod.Status.Phase = corev1.PodRunning
		if !b.slow {
			text, _ := json.Marshal(b.report)
			pod.Status.Phase = corev1.PodSucceeded
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
				Name: moverpod.ContainerName, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
					ExitCode: int32(b.report.Class.ExitCode()), Message: string(text),
				}},
			}}
		}
		if err := b.client.Status().Update(b.t.Context(), &pod); err != nil {
			b.t.Fatal(err)
		}
	}
	b.together = max(b.together, running)
}

func (b *bench) pods() []corev1.Pod {
	b.t.Helper()
	var pods corev1.PodList
	if err := b.client.List(b.t.Context(), &pods); err != nil {
		b.t.Fatal(err)
	}
	return pods.Items
}

// find is nil for an import that is gone.
func (b *bench) find(name string) *v1alpha1.S3Import {
	b.t.Helper()
	i := &v1alpha1.S3Import{}
	err := b.client.Get(b.t.Context(), keyOf(name), i)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return i
}

// settle plays managers that are started anew for each pass, until three rounds in a row write nothing.
func (b *bench) settle(names ...string) {
	b.t.Helper()
	const most = 60
	for quiet, rounds := 0, 0; quiet < 3; rounds++ {
		before := b.writes
		for _, name := range names {
			b.step(b.manager(), name)
		}
		quiet++
		if b.writes != before {
			quiet = 0
		}
		if rounds > most {
			b.t.Fatalf("there is no end of it: %+v", b.find(names[0]))
		}
	}
}

var complete = wire.Report{Class: wire.Done, Objects: 3, Bytes: 7, ManifestDigest: "sha256:x"}

// A manager that is killed before or after any of its writes is followed by one that brings the run to
// the same end: with one mover, and nothing left of it but itself.
func TestKilledAtEveryWrite(t *testing.T) {
	for name, test := range map[string]struct {
		report wire.Report
		phase  v1alpha1.ImportPhase
		pods   int // Of a failed run the last mover stays.
	}{
		"complete": {complete, v1alpha1.ImportSucceeded, 0},
		"failed":   {wire.Report{Class: wire.User, Reason: wire.AccessDenied, Message: "no"}, v1alpha1.ImportFailed, 1},
	} {
		for killAt := range 9 {
			for _, after := range []bool{false, true} {
				b := newBench(t, test.report, killAt, after, newImport("run"))
				b.settle("run")
				i := b.find("run")
				if i.Status.Phase != test.phase || len(b.pods()) != test.pods || b.movers != 1 || i.Status.Attempts != 1 {
					t.Errorf("%s, killed at write %d (after it: %v): %+v, %d pods, %d movers",
						name, killAt, after, i.Status, len(b.pods()), b.movers)
				}
			}
		}
	}
}

// An import that is deleted at any moment of its life goes and leaves no pod, whenever its manager is killed.
func TestDeletedAtEveryMoment(t *testing.T) {
	for moment := range 7 {
		for killAt := range 9 {
			b := newBench(
				t,
				wire.Report{Class: wire.Retry, Reason: wire.TransferFailed, Message: "reset"},
				killAt,
				killAt%2 == 0,
				newImport("run"),
			)
			b.slow = moment%2 == 0
			for range moment {
				b.step(b.manager(), "run")
			}
			if i := b.find("run"); i != nil {
				if err := b.client.Delete(t.Context(), i); err != nil {
					t.Fatal(err)
				}
			}
			b.settle("run")
			if b.find("run") != nil || len(b.pods()) > 0 {
				t.Errorf("deleted after %d passes, killed at write %d: %d pods are left", moment, killAt, len(b.pods()))
			}
		}
	}
}

// Imports into one claim take turns, whoever looks at them first and whenever a manager is killed.
func TestImportsIntoOneClaimTakeTurns(t *testing.T) {
	for killAt := range 8 {
		for _, order := range [][]string{{"a", "b", "c"}, {"c", "b", "a"}} {
			b := newBench(t, complete, killAt, killAt%2 == 0, newImport("a"), newImport("b"), newImport("c"))
			b.slow = true
			for range 5 {
				for _, name := range order {
					b.step(b.manager(), name)
				}
			}
			b.slow = false
			b.settle(order...)
			for _, name := range order {
				if i := b.find(name); i.Status.Phase != v1alpha1.ImportSucceeded {
					t.Errorf("killed at write %d, %v: %s is %+v", killAt, order, name, i.Status)
				}
			}
			if b.together != 1 || b.movers != 3 || len(b.pods()) > 0 {
				t.Errorf("killed at write %d, %v: %d movers at once, %d in all, %d pods are left",
					killAt, order, b.together, b.movers, len(b.pods()))
			}
		}
	}
}

// What shows how a claim is filled is no import that a user has made, whatever it names.
func TestRecordsAreLeftAlone(t *testing.T) {
	record := newImport("data-12345678")
	record.Labels = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelClaimUID: "c-1"}
	b := newBench(t, complete, 0, false, record)
	b.settle(record.Name)
	if b.writes > 0 || b.find(record.Name).Status.Phase != "" {
		t.Errorf("%d writes, the record is %+v", b.writes, b.find(record.Name).Status)
	}
}

// The pod of a failed run stays for its logs, and keeps no claim that is deleted after that.
func TestFailedMoverKeepsNoDeletedClaim(t *testing.T) {
	b := newBench(t, wire.Report{Class: wire.User, Reason: wire.AccessDenied, Message: "no"}, 0, false, newImport("run"))
	b.settle("run")
	claim := &corev1.PersistentVolumeClaim{}
	if err := b.client.Get(t.Context(), keyOf("data"), claim); err != nil {
		t.Fatal(err)
	}
	woken := b.manager().from(indexClaim)(t.Context(), claim)
	if len(b.pods()) != 1 || len(woken) > 0 {
		t.Fatalf("before the claim is deleted there are %d pods, and it wakes %v", len(b.pods()), woken)
	}
	claim.Finalizers = []string{"kubernetes.io/pvc-protection"}
	if err := errors.Join(b.client.Update(t.Context(), claim), b.client.Delete(t.Context(), claim),
		b.client.Get(t.Context(), keyOf("data"), claim)); err != nil {
		t.Fatal(err)
	}
	if woken := b.manager().from(indexClaim)(t.Context(), claim); len(woken) != 1 {
		t.Errorf("the claim that is being deleted wakes %v", woken)
	}
	b.settle("run")
	if len(b.pods()) > 0 || b.find("run").Status.Phase != v1alpha1.ImportFailed {
		t.Errorf("%d pods keep the claim, the import is %s", len(b.pods()), b.find("run").Status.Phase)
	}
}
