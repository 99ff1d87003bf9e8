// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

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
)

// server holds the objects of a world.
func server(t *testing.T, w *world) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	objects := []client.Object{w.Claim.DeepCopy()}
	for i := range w.Exports {
		objects = append(objects, w.Exports[i].DeepCopy())
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&corev1.PersistentVolumeClaim{}).WithIndex(&v1alpha1.S3Export{}, byClaim, claimName).
		WithIndex(&v1alpha1.S3Import{}, byClaim, importClaimName).Build()
}

// pass lets a process look once at what it sees of a server.
func pass(t *testing.T, p *kubetest.Process, sees client.WithWatch, live client.Reader, now time.Time) {
	t.Helper()
	tells(t, p, sees, live, now)
}

// tells is such a pass, and returns its events.
func tells(t *testing.T, p *kubetest.Process, sees client.WithWatch, live client.Reader, now time.Time) string {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	p.End = end
	recorder := events.NewFakeRecorder(1000)
	r := &Reconciler{
		Client: p.Client(sees), Live: live, Events: recorder, Now: func() time.Time { return now },
	}
	request := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "ml", Name: "data"}}
	if _, err := r.Reconcile(ctx, request); err != nil && !errors.Is(err, kubetest.ErrEnd) && ctx.Err() == nil {
		t.Fatal(err)
	}
	close(recorder.Events)
	var all []string
	for e := range recorder.Events {
		all = append(all, e)
	}
	return strings.Join(all, "\n")
}

// made are all S3Exports but those that are history.
func made(t *testing.T, c client.Client) string {
	t.Helper()
	var all v1alpha1.S3ExportList
	if err := c.List(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range all.Items {
		names = append(names, all.Items[i].Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func claimOf(t *testing.T, c client.Client) *corev1.PersistentVolumeClaim {
	t.Helper()
	claim := &corev1.PersistentVolumeClaim{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "ml", Name: "data"}, claim); err != nil {
		t.Fatal(err)
	}
	return claim
}

// TestAnEndAtEveryWrite: whichever write is the last of its process, a token and a tick end with one export each, and
// with all notes and the condition written.
func TestAnEndAtEveryWrite(t *testing.T) {
	for _, lost := range []bool{true, false} {
		for ends := 1; ; ends++ {
			w := newWorld(hour(2), "export-now", "1", "export-schedule", "@hourly", "exported-tick", "2026-11-26T01:00:00Z").
				export("a", v1alpha1.ConditionComplete, hour(-4)).export("b", v1alpha1.ConditionComplete, hour(-3)).
				export("c", v1alpha1.ConditionComplete, hour(-2)).export("d", v1alpha1.ConditionComplete, hour(-1))
			s := server(t, w)
			p := &kubetest.Process{Ends: ends, Lost: lost}
			for range 10 {
				pass(t, p, s, s, hour(2))
				if p.Ends > 0 && p.Writes >= p.Ends {
					break
				}
			}
			for range 10 {
				pass(t, &kubetest.Process{}, s, s, hour(2).Add(time.Minute))
				finishFirst(t, s, "1")
			}
			claim := claimOf(t, s)
			if got, want := made(t, s), sorted("b", "c", "d", now("1"), tick(2)); got != want {
				t.Errorf("end at write %d (lost: %t): exports %q, want %q", ends, lost, got, want)
			}
			if claim.Annotations[v1alpha1.AnnotationExportedNow] != "1" ||
				claim.Annotations[v1alpha1.AnnotationExportedTick] != "2026-11-26T02:00:00Z" ||
				condition(claim).Status != corev1.ConditionTrue {
				t.Errorf(
					"end at write %d (lost: %t): the claim is left with %v, %+v",
					ends,
					lost,
					claim.Annotations,
					condition(claim),
				)
			}
			if p.Writes < ends {
				break // All were tried.
			}
		}
	}
}

// finishFirst fails the export of a token, so that the one of the tick may begin, and the history stays as it is.
func finishFirst(t *testing.T, s client.Client, token string) {
	t.Helper()
	e := &v1alpha1.S3Export{}
	if err := s.Get(t.Context(), client.ObjectKey{Namespace: "ml", Name: now(token)}, e); err != nil {
		return
	}
	e.CreationTimestamp = metav1.NewTime(hour(2)) // The fake server does not say.
	e.Spec.DryRun = true                          // It is no news of the claim.
	e.Status.Conditions = newWorld(hour(2)).export("x", v1alpha1.ConditionFailed, hour(2)).Exports[0].Status.Conditions
	if err := s.Update(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

func sorted(names ...string) string {
	slices.Sort(names)
	return strings.Join(names, " ")
}

// TestTwoManagers: one of them knows nothing of what the other wrote; its user has deleted the export since.
func TestTwoManagers(t *testing.T) {
	w := newWorld(hour(1), "export-now", "1")
	s, old := server(t, w), server(t, w)
	for range 3 {
		pass(t, &kubetest.Process{}, s, s, hour(1))
	}
	if got := made(t, s); got != now("1") {
		t.Fatalf("exports %q, want %q", got, now("1"))
	}
	pass(t, &kubetest.Process{}, kubetest.Cached(s, old), s, hour(1))
	if err := s.DeleteAllOf(t.Context(), &v1alpha1.S3Export{}, client.InNamespace("ml")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		pass(t, &kubetest.Process{}, kubetest.Cached(s, old), s, hour(1))
		pass(t, &kubetest.Process{}, s, s, hour(1))
	}
	if got := made(t, s); got != "" {
		t.Errorf("exports %q, want none: it was deleted by its user", got)
	}
}

// TestAtRestNothingIsWritten: what was told is not told again.
func TestAtRestNothingIsWritten(t *testing.T) {
	s := server(t, newWorld(hour(1), "export-now", "1", "export-schedule", "@daily"))
	for range 5 {
		pass(t, &kubetest.Process{}, s, s, hour(1))
	}
	before := claimOf(t, s).ResourceVersion
	p := &kubetest.Process{}
	pass(t, p, s, s, hour(2))
	if p.Writes > 0 || claimOf(t, s).ResourceVersion != before {
		t.Errorf("%d writes at rest", p.Writes)
	}
}

// TestAClaimOfTheSameName is not told of what its predecessor had exported.
func TestAClaimOfTheSameName(t *testing.T) {
	s := server(t, newWorld(hour(1)).export("1", v1alpha1.ConditionComplete, hour(1), func(e *v1alpha1.S3Export) {
		e.Labels, e.OwnerReferences, e.Status.ClaimUID = nil, nil, "c-0"
	}))
	pass(t, &kubetest.Process{}, s, s, hour(2))
	if c := condition(claimOf(t, s)); c.Type != "" {
		t.Errorf("told of %+v", c)
	}
}

// TestNamesThatAreTaken: what has the name of a run and is none of this claim is told of, and what is, is not.
func TestNamesThatAreTaken(t *testing.T) {
	foreign := []string{"of another claim", "a claim before", "a record"}
	for _, whose := range append(foreign, "its own") {
		for _, kind := range []string{"S3Export", "S3Import"} {
			w := filled("import-now", "1")
			var o client.Object = importFor(w.Claim, now("1"))
			if kind == "S3Export" {
				w = newWorld(hour(1), "export-now", "1")
				o = &newWorld(hour(1)).export(now("1"), "", hour(1)).Exports[0]
			}
			switch whose {
			case "of another claim":
				if i, ok := o.(*v1alpha1.S3Import); ok {
					i.Spec.ClaimName = "other"
				} else {
					o.(*v1alpha1.S3Export).Spec.ClaimName = "other"
				}
			case "a claim before":
				o.GetLabels()[v1alpha1.LabelClaimUID] = "c-0"
			case "a record":
				if kind == "S3Export" {
					continue // There are none of exports.
				}
				delete(o.GetLabels(), v1alpha1.LabelRole)
			}
			s, past := server(t, w), server(t, w)
			if err := s.Create(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			sees := s
			if whose == "its own" {
				sees = kubetest.Cached(s, past) // It was made a moment ago.
			}
			said := tells(t, &kubetest.Process{}, sees, s, hour(1))
			told := strings.Contains(said, "WriteRefused "+kind+" "+now("1")+" exists, and was not made for this claim")
			if told != slices.Contains(foreign, whose) {
				t.Errorf("%s %s: told %q", kind, whose, said)
			}
		}
	}
}

// TestANewTokenIsNotReused: a run that is over before its token is noted was made for it.
func TestANewTokenIsNotReused(t *testing.T) {
	s, told := server(t, newWorld(hour(1), "export-now", "2", "exported-now", "1")), events.NewFakeRecorder(10)
	r := &Reconciler{
		Client: (&kubetest.Process{}).Client(s), Live: s, Events: told, Now: func() time.Time { return hour(1) },
	}
	look := func() {
		t.Helper()
		request := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "ml", Name: "data"}}
		if _, err := r.Reconcile(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	look()
	finishFirst(t, s, "2")
	look()
	if noted := claimOf(t, s).Annotations[v1alpha1.AnnotationExportedNow]; noted != "2" || len(told.Events) > 0 {
		t.Errorf("the token %s is noted, and %d events are told", noted, len(told.Events))
	}
}

// TestATokenThatComesBack: its run is not made again, and that is told once, also if no cache shows yet that it was.
func TestATokenThatComesBack(t *testing.T) {
	w := newWorld(hour(3), "export-now", "1", "exported-now", "2").
		export(now("1"), v1alpha1.ConditionComplete, hour(1)).export(now("2"), v1alpha1.ConditionComplete, hour(2))
	s, old := server(t, w), server(t, w)
	var said []string
	for range 4 {
		said = append(said, tells(t, &kubetest.Process{}, s, s, hour(3)),
			tells(t, &kubetest.Process{}, kubetest.Cached(s, old), s, hour(3)))
	}
	all := strings.Join(said, "\n")
	if strings.Count(all, "TokenReused") != 1 || !strings.Contains(all, "write a value that was never used") ||
		made(t, s) != sorted(now("1"), now("2")) {
		t.Errorf("told %q, exports %s", all, made(t, s))
	}
}
