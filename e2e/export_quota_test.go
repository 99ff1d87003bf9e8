// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// gate holds requests until it is opened.
type gate struct {
	open   func()
	opened <-chan struct{}
}

// newGate is open at the end of the story at the latest.
func newGate(s *story.Story) gate {
	opened := make(chan struct{})
	g := gate{opened: opened, open: sync.OnceFunc(func() { close(opened) })}
	s.T.Cleanup(g.open)
	return g
}

// hold lets a request through once the gate is open.
func (g gate) hold(w http.ResponseWriter, r *http.Request, honest http.Handler) {
	select {
	case <-g.opened:
		honest.ServeHTTP(w, r)
	case <-r.Context().Done():
	}
}

// proxied has an export talk to S3 by way of a proxy.
func proxied(p *story.Proxy) func(*v1alpha1.S3Export) {
	return func(e *v1alpha1.S3Export) { e.Spec.Destination.Endpoint = p.Endpoint }
}

func inShards(e *v1alpha1.S3Export) { e.Spec.Parallelism = 2 }

// enforced waits until the API server refuses a pod by a quota.
func enforced(s *story.Story, claim string) {
	s.T.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "refused", Namespace: s.Namespace},
		Spec:       story.PodSpec(claim, false, false, "sleep"),
	}
	s.Await("a pod to be refused", func() error {
		err := world.Client.Create(s.T.Context(), pod.DeepCopy(), client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), "exceeded quota") {
			return errors.Join(errors.New("it is not"), err)
		}
		return nil
	})
}

// A quota without room for another pod keeps the mover of an export from being made, and the pods of a Job whose plan
// is made already. Both exports say so in the words of the API server, nobody asks it again and again, and both are
// complete when the quota is raised.
func TestExportQuota(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonMoverRefused), string(v1alpha1.ReasonMoverPending)}
	bucket := s.Bucket(story.MinIO)
	proxy := s.Proxy(bucket)
	claim := s.Claim(story.Claim{})
	const files = 70 // As many as are work for two shards.
	s.Output("fill", claim.Name, "many", story.MountPath, "70")
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "quota", Namespace: s.Namespace},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("10")}},
	}
	s.Create(quota)
	pods := func(most string) {
		story.Update(s, quota, func(q *corev1.ResourceQuota) { q.Spec.Hard[corev1.ResourcePods] = resource.MustParse(most) })
	}

	lowered := newGate(s)
	proxy.Misbehave(story.Fault{Do: lowered.hold})
	parted := s.Export("parted", claim.Name, bucket, proxied(proxy), inShards)
	s.ExportMover(parted) // It makes the plan.
	pods("0")
	enforced(s, claim.Name)
	began := time.Now()
	whole := s.Export("whole", claim.Name, bucket)
	s.ExportTells(whole, v1alpha1.ExportPending, "MoverRefused", "exceeded quota: quota")
	lowered.open()
	s.ExportTells(parted, v1alpha1.ExportPending, "MoverPending", "exceeded quota: quota")
	pods("10")

	for _, e := range []*v1alpha1.S3Export{s.Exported(whole), s.Exported(parted)} {
		if st := e.Status; st.Objects != files || st.Attempts != 1 || st.Failures != 0 ||
			len(bucket.Holds(st.Prefix)) != files {
			t.Errorf("S3Export %s: the status says %+v", e.Name, st)
		}
	}
	if open := bucket.Uploads(); len(open) > 0 {
		t.Errorf("uploads of %q are open", open)
	}
	// One mover, one plan and one end; and what the quota has refused: every 30 s, and at first some more, because the
	// manager looks again after each of its own writes on the export. Retries with a backoff would be a dozen at once.
	most := 10 + int(time.Since(began)/(30*time.Second))
	if made := created(s, "pods"); made > most {
		t.Errorf("the manager asked for %d pods, want at most %d", made, most)
	}
	if made := created(s, "jobs"); made != 1 {
		t.Errorf("the manager asked for %d Jobs", made)
	}
}

// created counts how often the manager asked to create an object of a kind in the namespace of a story.
func created(s *story.Story, kind string) (times int) {
	s.T.Helper()
	requests, err := world.Requests()
	if err != nil {
		s.T.Fatal(err)
	}
	for _, r := range requests {
		if r.Verb == "create" && r.Resource.Name == kind && r.Namespace == s.Namespace {
			times++
		}
	}
	return times
}
