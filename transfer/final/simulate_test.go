// SPDX-License-Identifier: Apache-2.0

package final

import (
	"context"
	"errors"
	"flag"
	"runtime/debug"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
	"github.com/s3populator/s3populator/internal/testenv"
	cluster "github.com/s3populator/s3populator/populator/simulator"
)

var (
	seeds = flag.Int("seeds", 300, "how many seeds TestSeeds plays")
	seed  = flag.Uint64("seed", 0, "the first seed of TestSeeds")
	long  = flag.Bool("whole", false, "do not shorten the schedules of TestSeeds that fail")
)

// TestSeeds plays the manager on simulated clusters in which claims are deleted. A seed that breaks a promise is
// played again, shortened, and printed step by step; `go test ./transfer/final -run TestSeeds -seed N -seeds 1`
// plays it alone.
func TestSeeds(t *testing.T) {
	n := *seeds
	if testing.Short() || testenv.Race {
		n = min(n, 30)
	}
	log.SetLogger(logr.Discard())
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // Memory is cheap here, and a third of the time.
	subject := simulated(t)
	var seen cluster.FinalSeen
	broken := map[string]int{}
	for i := range n {
		at := *seed + uint64(i)
		r := cluster.RunFinal(at, subject)
		seen.Add(r.Final)
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
		if len(broken) > 4 || broken[r.Promise] > 10 {
			break
		}
	}
	t.Logf("%d seeds: %+v", n, seen)
	if missing := seen.Missing(); n >= 300 && len(missing) > 0 {
		t.Errorf("no seed met: %v", missing)
	}
}

// TestCrashAfterEveryWrite kills the manager after each of its writes in turn.
func TestCrashAfterEveryWrite(t *testing.T) {
	log.SetLogger(logr.Discard())
	for n := 1; n <= 40; n++ {
		subject := simulated(t)
		subject.CrashAfter = n
		for at := range uint64(2) {
			if r := cluster.RunFinal(at, subject); !r.Ok() {
				t.Fatalf("seed %d, a crash after write %d: %s", at, n, cluster.Shrink(r, subject))
			}
		}
	}
}

// simulated is the manager as cmd/manager joins it, without what has no part in exports before deletion.
func simulated(t *testing.T) cluster.Subject {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return cluster.Subject{Scheme: scheme, Transform: cached, New: func(
		cachedClient client.Client, live client.Reader, now func() time.Time,
	) cluster.Manager {
		r := &Reconciler{Client: cachedClient, Live: live, Events: &events.FakeRecorder{}, Now: now}
		c := cluster.Controller{Name: "final-export", Reconciler: r}
		for _, w := range r.watches() {
			c.Watches = append(c.Watches, cluster.Watch{Object: w.object, Requests: w.requests, Predicates: w.predicates})
		}
		return cluster.Manager{
			Controllers: []cluster.Controller{c},
			Index:       func(to client.FieldIndexer) error { return addIndexes(t.Context(), to) },
			Sweep:       func(context.Context) error { return nil },
			SweepEvery:  time.Hour,
		}
	}}
}

// cached keeps what the manager's cache does: of pods only ours, and not what they mount; of claims that say nothing
// themselves only what a policy selects them by.
func cached(o client.Object) client.Object {
	if claim, ok := o.(*corev1.PersistentVolumeClaim); ok && !Concerns(claim) && !annotated.ExportMentioned(claim) {
		slim := &corev1.PersistentVolumeClaim{}
		slim.Name, slim.Namespace, slim.UID = claim.Name, claim.Namespace, claim.UID
		slim.ResourceVersion, slim.Labels = claim.ResourceVersion, claim.Labels
		slim.CreationTimestamp, slim.DeletionTimestamp = claim.CreationTimestamp, claim.DeletionTimestamp
		return slim
	}
	if pod, ok := o.(*corev1.Pod); ok {
		if pod.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
			return nil
		}
		slim := pod.DeepCopy()
		slim.Spec.Volumes = nil
		return slim
	}
	return o
}
