// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"errors"
	"flag"
	"runtime/debug"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/populator/places"
	"github.com/s3populator/s3populator/populator/protocol"
	cluster "github.com/s3populator/s3populator/populator/simulator"
)

var (
	seeds = flag.Int("seeds", 300, "how many seeds TestSeeds plays")
	long  = flag.Bool("whole", false, "do not shorten the schedules of TestSeeds that fail")
	seed  = flag.Uint64("seed", 0, "the first seed of TestSeeds, or the only one when -seeds is not given")
)

// TestSeeds plays the manager on simulated clusters. A seed that breaks a promise is played
// again, shortened, and printed step by step; `go test ./populator -run TestSeeds -seed N`
// plays it alone.
func TestSeeds(t *testing.T) {
	n := *seeds
	if given("seed") && !given("seeds") {
		n = 1
	}
	if (testing.Short() || testenv.Race) && !given("seeds") {
		n = min(n, 30)
	}
	log.SetLogger(logr.Discard())
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // Memory is cheap here, and a third of the time.
	subject := simulated(t)
	var seen cluster.Seen
	broken := map[string]int{}
	for i := range n {
		at := *seed + uint64(i)
		r := cluster.Run(at, subject)
		seen.Add(r.Seen)
		if r.Ok() {
			continue
		}
		broken[r.Promise]++
		if broken[r.Promise] == 1 {
			if !*long {
				r = cluster.Shrink(r, subject)
			}
			t.Errorf("seed %d: %s", at, r)
		} else {
			t.Errorf("seed %d: broken promise: %s: %s", at, r.Promise, r.Detail)
		}
		if len(broken) > 4 || broken[r.Promise] > 20 {
			break
		}
	}
	t.Logf("%d seeds: %+v", n, seen)
	if missing := seen.Missing(); n >= 300 && len(missing) > 0 {
		t.Errorf("no seed met: %v", missing)
	}
}

func given(name string) (found bool) {
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// simulated is the manager as cmd/manager joins it, without what has no part in the protocol.
func simulated(t *testing.T) cluster.Subject {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return cluster.Subject{Scheme: scheme, Transform: cached, New: newManager(t.Context())}
}

func newManager(ctx context.Context) func(client.Client, client.Reader, func() time.Time) cluster.Manager {
	return func(cachedClient client.Client, live client.Reader, now func() time.Time) cluster.Manager {
		return joined(ctx, cachedClient, live, now)
	}
}

func joined(ctx context.Context, cachedClient client.Client, live client.Reader, now func() time.Time) cluster.Manager {
	o := testOptions()
	o.Now = now
	recorder := &events.FakeRecorder{} // Without a channel it drops events.
	r := &Reconciler{
		Client:  cachedClient,
		Live:    live,
		Events:  recorder,
		Options: o,
		Places:  places.Office{Cache: cachedClient, Now: now},
	}
	population := cluster.Controller{Name: "population", Reconciler: r}
	for _, w := range r.watches() {
		population.Watches = append(
			population.Watches,
			cluster.Watch{Object: w.object, Requests: w.claims, Predicates: w.predicates},
		)
	}
	volumes := &VolumeReconciler{Client: cachedClient, Live: live, Events: recorder}
	return cluster.Manager{
		Controllers: []cluster.Controller{population, {
			Name: "volume", Reconciler: volumes,
			Watches: []cluster.Watch{
				{Object: &corev1.PersistentVolume{}, Requests: itself, Predicates: []predicate.Predicate{volumesWithAStep()}},
			},
		}},
		Index:      func(to client.FieldIndexer) error { return addIndexes(ctx, to) },
		Sweep:      Sweeper{Reconciler: r}.Sweep,
		SweepEvery: sweepEvery,
	}
}

func itself(_ context.Context, o client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(o)}}
}

// volumesWithAStep is the predicate of VolumeReconciler.
func volumesWithAStep() predicate.Predicate {
	return predicate.NewPredicateFuncs(func(o client.Object) bool {
		return protocol.StepOf(o.(*corev1.PersistentVolume)) != protocol.NoStep
	})
}

// cached keeps what the manager's cache does: of pods only ours, and of all things only
// what is looked at.
func cached(o client.Object) client.Object {
	switch o := o.(type) {
	case *corev1.Pod:
		if o.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
			return nil
		}
		slim := o.DeepCopy()
		slim.Spec.Volumes, slim.Spec.Affinity, slim.Spec.Tolerations = nil, nil, nil
		for i := range slim.Spec.Containers {
			slim.Spec.Containers[i] = corev1.Container{Name: slim.Spec.Containers[i].Name}
		}
		return slim
	case *corev1.PersistentVolume:
		slim := o.DeepCopy()
		slim.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{}
		return slim
	case *storagev1.VolumeAttachment:
		slim := o.DeepCopy()
		slim.Status = storagev1.VolumeAttachmentStatus{}
		return slim
	}
	return o
}
