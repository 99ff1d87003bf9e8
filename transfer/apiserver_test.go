// SPDX-License-Identifier: Apache-2.0

// Package transfer_test runs whatever makes S3Exports against a real API server.
package transfer_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/kubetest"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/transfer/claims"
	"github.com/s3populator/s3populator/transfer/movers"
	"github.com/s3populator/s3populator/transfer/policy"
	"github.com/s3populator/s3populator/transfer/prune"
)

// world is an API server, a clock that tests move, and two managers that both believe that they lead.
type world struct {
	client.Client
	config *rest.Config
	scheme *runtime.Scheme
	clock  atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		config: kubetest.APIServer(t, kubetest.Options{CRDs: []string{"../manifests/crd"}}), scheme: runtime.NewScheme(),
	}
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(w.scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(w.config, client.Options{Scheme: w.scheme})
	if err != nil {
		t.Fatal(err)
	}
	w.Client = c
	w.clock.Store(time.Now().Unix())
	return w
}

func (w *world) now() time.Time { return time.Unix(w.clock.Load(), 0) }

// manager starts one; what is returned ends it.
func (w *world) manager(t *testing.T) (end func()) {
	t.Helper()
	mgr, err := ctrl.NewManager(w.asManager(), ctrl.Options{
		Scheme: w.scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	recorder := mgr.GetEventRecorder("test")
	for _, r := range []interface {
		SetupWithManager(ctx context.Context, mgr ctrl.Manager) error
	}{
		&policy.Reconciler{
			Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: recorder, Now: w.now,
			Uncounted: movers.Uncounted(mgr.GetAPIReader()),
		},
		&claims.Reconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: recorder, Now: w.now},
	} {
		if err := r.SetupWithManager(t.Context(), mgr); err != nil {
			t.Fatal(err)
		}
	}
	prunes := &prune.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: recorder, Now: w.now,
		Options: prune.Options{Image: moverpod.Image{Name: shippedImage}},
	}
	if err := prunes.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	end = sync.OnceFunc(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the manager: %v", err)
		}
	})
	t.Cleanup(end)
	return end
}

func (w *world) create(t *testing.T, o client.Object) {
	t.Helper()
	if err := w.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func (w *world) await(t *testing.T, what string, done func() error) {
	t.Helper()
	patience, again := time.After(2*time.Minute), time.NewTicker(50*time.Millisecond)
	defer again.Stop()
	for {
		err := done()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-patience:
			t.Fatalf("waited in vain for %s: %v", what, err)
		}
	}
}

// exports are the S3Exports of a claim.
func (w *world) exports(t *testing.T, claim string) []v1alpha1.S3Export {
	t.Helper()
	var all v1alpha1.S3ExportList
	if err := w.List(t.Context(), &all, client.InNamespace("default")); err != nil {
		t.Fatal(err)
	}
	var found []v1alpha1.S3Export
	for _, e := range all.Items {
		if e.Spec.ClaimName == claim {
			found = append(found, e)
		}
	}
	return found
}

func (w *world) count(t *testing.T, claim string, want int) func() error {
	return func() error {
		if n := len(w.exports(t, claim)); n != want {
			return fmt.Errorf("claim %s has %d exports, want %d", claim, n, want)
		}
		return nil
	}
}

// annotate changes annotations or labels of a claim, which also wakes whoever looks at it.
func (w *world) annotate(t *testing.T, claim, kind, values string) {
	t.Helper()
	o := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: claim}}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"`+kind+`":`+values+`}}`))
	if err := w.Patch(t.Context(), o, patch); err != nil {
		t.Fatal(err)
	}
}

// end marks an export as the controller of S3Exports does.
func (w *world) end(t *testing.T, e v1alpha1.S3Export, condition string) {
	t.Helper()
	e.Status.Conditions = []metav1.Condition{{
		Type: condition, Status: metav1.ConditionTrue, Reason: "Ended", Message: "because.", LastTransitionTime: metav1.Now(),
	}}
	e.Status.CompletionTime, e.Status.Location, e.Status.ManifestDigest = new(metav1.Now()), "s3://backups/x/", "sha256:00"
	status := e.Status
	w.await(t, "the end of an export to be written", func() error { // Others may write to it at the same time.
		err := w.Get(t.Context(), client.ObjectKeyFromObject(&e), &e)
		if e.Status = status; err == nil {
			err = w.Status().Update(t.Context(), &e)
		}
		return err
	})
}

func (w *world) exported(t *testing.T, claim string, status corev1.ConditionStatus) func() error {
	return func() error {
		c := &corev1.PersistentVolumeClaim{}
		if err := w.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: claim}, c); err != nil {
			return err
		}
		for _, condition := range c.Status.Conditions {
			if condition.Type == v1alpha1.ConditionExported && condition.Status == status {
				return nil
			}
		}
		return fmt.Errorf("the conditions are %+v", c.Status.Conditions)
	}
}

func claim(name string, annotations map[string]string) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "default", Labels: map[string]string{"export": "hourly"}, Annotations: annotations,
	}}
	c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	return c
}

func hourly() *v1alpha1.S3ExportPolicy {
	p := &v1alpha1.S3ExportPolicy{ObjectMeta: metav1.ObjectMeta{Name: "hourly", Namespace: "default"}}
	p.Spec.Schedule, p.Spec.ClaimSelector.MatchLabels = "0 * * * *", map[string]string{"export": "hourly"}
	p.Spec.Template.Destination.Region, p.Spec.Template.Destination.Bucket = "x", "backups"
	return p
}

// TestRequests plays days of two managers in seconds.
func TestRequests(t *testing.T) {
	w := newWorld(t)
	t.Run("what a policy may say", w.testPolicyRules)
	t.Run("what an import may say", w.testImportRules)
	ends := []func(){w.manager(t), w.manager(t)}
	t.Run("tokens", w.testTokens)
	t.Run("tokens of imports", w.testImportTokens)
	t.Run("what is noted of files", w.testFilesNoted)
	t.Run("ticks", func(t *testing.T) { w.testTicks(t, ends) })
	t.Run("ticks of runs that take long", w.testReplace)
}

// testPolicyRules: what would overwrite or never run is refused.
func (w *world) testPolicyRules(t *testing.T) {
	type spec = *v1alpha1.S3ExportPolicySpec
	for name, tt := range map[string]struct {
		change func(spec)
		want   string
	}{
		"as it is":      {func(spec) {}, ""},
		"a macro":       {func(s spec) { s.Schedule = "@daily" }, ""},
		"a zone":        {func(s spec) { s.TimeZone = "Europe/Berlin" }, ""},
		"its own place": {func(s spec) { s.Template.Destination.Prefix = "a/{{.Claim}}/latest" }, ""},
		"one key for all": {
			func(s spec) { s.Template.Destination.Key, s.Template.Path = "a.bin", "a.bin" },
			"all claims would be exported to one object",
		},
		"one place for all": {
			func(s spec) { s.Template.Destination.Prefix = "a/{{.Namespace}}/{{.Date}}" }, "and overwrite each other's objects",
		},
		"two runs in one place": {
			func(s spec) { s.Template.Destination.Prefix, s.ConcurrencyPolicy = "a/{{.Claim}}", "Allow" },
			"two runs may write at once",
		},
		"two runs in two places": {func(s spec) { s.ConcurrencyPolicy = "Allow" }, ""},
		"no schedule":            {func(s spec) { s.Schedule = "" }, "schedule: nothing would ever be exported"},
		"deletions alone":        {func(s spec) { s.Schedule, s.OnDelete = "", true }, ""},
		"the place of the next claim": {
			func(s spec) { s.OnDelete, s.Template.Destination.Prefix = true, "{{.Claim}}/" }, "a later claim of the same name",
		},
		"objects of a run that has its place": {func(s spec) { s.PruneData = true }, ""},
		"objects of runs that share one": {
			func(s spec) { s.PruneData, s.Template.Destination.Prefix = true, "{{.Claim}}/" }, "with pruneData each run needs",
		},
		"objects whose exports go by themselves": {
			func(s spec) { s.PruneData, s.Template.TTLSecondsAfterFinished = true, new(int32(60)) },
			"with pruneData an S3Export",
		},
		"a part of what goes":    {func(s spec) { s.OnDelete, s.Template.Path = true, "a" }, "onDelete: all of a claim"},
		"a deadline of nothing":  {func(s spec) { s.StartingDeadlineSeconds = new(int64(0)) }, "greater than or equal to 10"},
		"four fields":            {func(s spec) { s.Schedule = "0 3 * *" }, "schedule: five fields"},
		"a zone in the schedule": {func(s spec) { s.Schedule = "CRON_TZ=UTC 0 3 * * *" }, "write it to timeZone"},
		"nothing is kept":        {func(s spec) { s.Keep = -1 }, "spec.keep"},
		"another concurrency": {
			func(s spec) { s.ConcurrencyPolicy = "Queue" }, "spec.concurrencyPolicy: Unsupported value",
		},
		"a fault of the template": {
			func(s spec) { s.Template.Destination.Prefix = "../{{.Claim}}" }, "prefix: a directory without",
		},
	} {
		p := hourly()
		tt.change(&p.Spec)
		err := w.Create(t.Context(), p, client.DryRunAll)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if err == nil && (p.Spec.ConcurrencyPolicy == "" || p.Spec.Keep == 0 || p.Spec.Template.OnExisting == "") {
			t.Errorf("%s: defaults are missing: %+v", name, p.Spec)
		}
	}
}

// testTokens: the same token twice is one run, a new one is another, and one that was deleted stays so.
func (w *world) testTokens(t *testing.T) {
	w.create(t, claim("tokens", map[string]string{
		v1alpha1.AnnotationExportTo: "s3://backups", v1alpha1.AnnotationExportRegion: "x", v1alpha1.AnnotationExportNow: "1",
	}))
	w.await(t, "the first token", w.count(t, "tokens", 1))
	first := w.exports(t, "tokens")[0]
	if first.Spec.Destination.Bucket != "backups" ||
		first.Spec.Destination.Prefix != "{{.Namespace}}/{{.Claim}}/{{.Run}}/" {
		t.Errorf("it is exported to %+v", first.Spec.Destination)
	}
	noted := func(token string) func() error {
		return func() error {
			c := &corev1.PersistentVolumeClaim{}
			err := w.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "tokens"}, c)
			if err == nil && c.Annotations[v1alpha1.AnnotationExportedNow] != token {
				err = fmt.Errorf("noted is %q", c.Annotations[v1alpha1.AnnotationExportedNow])
			}
			return err
		}
	}
	w.await(t, "it to be noted", noted("1"))
	w.await(t, "the condition", w.exported(t, "tokens", corev1.ConditionUnknown))
	w.end(t, first, v1alpha1.ConditionComplete)
	w.await(t, "the condition", w.exported(t, "tokens", corev1.ConditionTrue))
	if err := w.Delete(t.Context(), &first); err != nil {
		t.Fatal(err)
	}
	w.annotate(t, "tokens", "annotations", `{"s3populator.io/export-now":"1","x":"y"}`)
	w.annotate(t, "tokens", "annotations", `{"s3populator.io/export-now":"2"}`)
	w.await(t, "the second token", noted("2"))
	if err := w.count(t, "tokens", 1)(); err != nil {
		t.Error(err)
	}
	w.end(t, w.exports(t, "tokens")[0], v1alpha1.ConditionFailed)
	w.await(t, "the condition", w.exported(t, "tokens", corev1.ConditionFalse))
}

// testTicks: two managers and a restart at the tick make one run for each claim and tick.
func (w *world) testTicks(t *testing.T, ends []func()) {
	for _, name := range []string{"a", "b", "c"} {
		w.create(t, claim(name, nil))
	}
	made := hourly()
	w.create(t, made)
	ready := func(tick time.Time) func() error {
		return func() error {
			p := &v1alpha1.S3ExportPolicy{}
			err := w.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "hourly"}, p)
			last := p.Status.LastScheduleTime
			if err == nil && (!meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionReady) || p.Status.Claims < 3 ||
				!tick.IsZero() && (last == nil || !last.Time.Equal(tick))) {
				err = fmt.Errorf("the status is %+v, want tick %s", p.Status, tick)
			}
			return err
		}
	}
	w.await(t, "the policy to be ready", ready(time.Time{}))
	// Earlier ticks do not count, and an hour may have begun since the clock was set.
	tick := made.CreationTimestamp.Truncate(time.Hour)
	for round := 1; round <= 3; round++ {
		tick = tick.Add(time.Hour)
		w.clock.Store(tick.Unix())
		w.annotate(t, "a", "labels", fmt.Sprintf(`{"wake":"%d"}`, round))
		if round == 2 {
			ends[0]() // In the midst of it.
		}
		if round == 3 {
			w.manager(t)
		}
		w.await(t, "the tick to be noted", ready(tick))
		for _, name := range []string{"a", "b", "c"} {
			w.await(t, "a run", w.count(t, name, round))
			for _, e := range w.exports(t, name) {
				if !meta.IsStatusConditionTrue(e.Status.Conditions, v1alpha1.ConditionComplete) {
					w.end(t, e, v1alpha1.ConditionComplete)
				}
			}
		}
	}
}
