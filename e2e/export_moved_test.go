// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
	"github.com/s3populator/s3populator/mover/wire"
)

// partsOnly sends parts of objects to S3 until some are stored there, and answers no further one until it is opened;
// what it has held then is broken off. All that is stored is counted.
func partsOnly(s *story.Story, p *story.Proxy, first int) (gate, *stored) {
	g, sent := newGate(s), &stored{times: map[string]int{}}
	part := func(r *http.Request) bool { return sends(r) && r.URL.Query().Has("partNumber") }
	p.Misbehave(story.Fault{Of: part, Times: first, Do: sent.pass})
	p.Misbehave(story.Fault{
		Of: func(r *http.Request) bool {
			select {
			case <-g.opened:
				return false
			default:
				return part(r)
			}
		},
		Do: func(http.ResponseWriter, *http.Request, http.Handler) {
			<-g.opened
			panic(http.ErrAbortHandler) // Who has sent it may be gone; what has come of it must not be stored.
		},
	})
	p.Misbehave(story.Fault{Of: sends, Do: sent.pass})
	return g, sent
}

// parts are how often each part of an object was stored.
func (c *stored) parts() (times []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for what, n := range c.times {
		if what[len(what)-1] != ' ' {
			times = append(times, n)
		}
	}
	return times
}

// placed makes a pod that uses a claim on a node without a scheduler, as one that was there before.
func placed(s *story.Story, name, claim string, node *corev1.Node) *corev1.Pod {
	s.T.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.Namespace},
		Spec:       story.PodSpec(claim, false, false, "sleep"),
	}
	pod.Spec.NodeName = node.Name
	s.Create(pod)
	return pod
}

// nextJob waits for the Job of an export that follows another one.
func nextJob(s *story.Story, e *v1alpha1.S3Export, last *batchv1.Job) *batchv1.Job {
	s.T.Helper()
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: "export-" + string(e.UID)}}
	s.Await("the next Job of S3Export "+e.Name, func() error {
		if err := s.Find(job); err != nil {
			return err
		}
		if last != nil && job.UID == last.UID {
			return errors.New("it is the last one")
		}
		return nil
	})
	return job
}

// nodesOf are those that the pods of a Job have to be on; nil for any.
func nodesOf(job *batchv1.Job) (names []string) {
	a := job.Spec.Template.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, field := range term.MatchFields {
			names = append(names, field.Values...)
		}
	}
	return names
}

func planOf(t *testing.T, job *batchv1.Job) string {
	t.Helper()
	request, err := wire.ParseArgs(job.Spec.Template.Spec.Containers[0].Args)
	if err != nil {
		t.Fatal(err)
	}
	return request.Export.Plan
}

// A Job that sends shards makes way for a pod that uses the claim on another node: it ends, and is made again for that
// node, with the plan that there is. Where that pod has gone, it is made again for any node, and completes the export.
// No part is sent twice, and no attempt has failed. The other node is a ghost, on which nothing ever runs.
func TestExportInShardsMoves(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.MayWarn = []string{string(v1alpha1.ReasonMoverPending)} // It has no room on the ghost.
	bucket := s.Bucket(story.MinIO)
	proxy := s.Proxy(bucket)
	let, sent := partsOnly(s, proxy, 2)
	claim := s.Claim(story.Claim{Size: "128Mi"})
	s.Output("one", claim.Name, "write", story.MountPath+"/one.bin", fmt.Sprint(48*story.MiB))
	s.Output("two", claim.Name, "write", story.MountPath+"/two.bin", fmt.Sprint(48*story.MiB))
	want := regular(t, s.Output("before", claim.Name, "tree", story.MountPath))

	e := s.Export("parted", claim.Name, bucket, keptBelow("moved/"), proxied(proxy), inShards)
	shardsThatRun(s, e, 2)
	first := nextJob(s, e, nil)
	s.Await("the first parts to be stored", func() error {
		if n := len(sent.parts()); n < 2 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	before := s.ExportTells(e, v1alpha1.ExportRunning, "Exporting", "Job")
	guest := placed(s, "guest", claim.Name, ghost(s))

	second := nextJob(s, e, first)
	if on := nodesOf(second); !slices.Equal(on, []string{guest.Spec.NodeName}) {
		t.Errorf("the Job is made for nodes %q, want %s", on, guest.Spec.NodeName)
	}
	s.WaitForEvent(e, "ExportMoved", "makes way for pod guest")
	let.open()
	if err := world.Client.Delete(t.Context(), guest, client.GracePeriodSeconds(0)); err != nil { // There is no kubelet.
		t.Fatal(err)
	}

	third := nextJob(s, e, second)
	if on := nodesOf(third); on != nil {
		t.Errorf("the Job is made for nodes %q, and nobody uses the claim any more", on)
	}
	done := s.Exported(e)
	if was, is := before.Status, done.Status; is.Attempts != 1 || is.Failures+is.Disruptions != 0 || is.Objects != 2 ||
		is.Shards.Plan != was.Shards.Plan || !is.Shards.PlanTime.Equal(was.Shards.PlanTime) ||
		planOf(t, first) != is.Shards.Plan || planOf(t, second) != is.Shards.Plan || planOf(t, third) != is.Shards.Plan {
		t.Errorf("the status was %+v with shards %+v, and is %+v with %+v", was, was.Shards, is, is.Shards)
	}
	if parts := sent.parts(); !slices.Equal(parts, []int{1, 1, 1, 1, 1, 1}) {
		t.Errorf("so often was each part stored: %v; want each of six once", parts)
	}
	if got := bucket.CopiedBy(story.Peers[0], "moved/"); !maps.Equal(got, want) {
		t.Errorf("what was exported differs (-volume +bucket):\n%s", cmp.Diff(want, got))
	}
	if open := bucket.Uploads(); len(open) > 0 {
		t.Errorf("uploads of %q are open", open)
	}
}
