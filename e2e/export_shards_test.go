// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/csi/class"
	"github.com/s3populator/s3populator/e2e/story"
)

// A volume goes to S3 in 4N shards of a Job, one of whose pods is deleted while it sends, and comes back as it was.
func TestExportInShards(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO)
	claim := s.Claim(story.Claim{Size: "256Mi"})
	user := s.User("user", claim.Name, "odd", story.MountPath) // As whom the movers run, while it is there.
	s.Output("many", claim.Name, "many", story.MountPath+"/many", strconv.Itoa(600))
	s.Output("large", claim.Name, "write", story.MountPath+"/large.bin", fmt.Sprint(64*story.MiB))
	want := s.Output("before", claim.Name, "tree", story.MountPath)

	e := s.Export("parted", claim.Name, bucket, keptBelow("parted/"), func(e *v1alpha1.S3Export) {
		e.Spec.Parallelism, e.Spec.Transfer.Bandwidth = 2, "2Mi" // 32 s for the large one
	})
	pod := shardThatRuns(s, e)
	s.Delete(pod)
	done := s.Exported(e)
	sums := regular(t, want)
	if st := done.Status; st.Shards == nil || st.Shards.Total != 8 || st.Shards.Done != 8 || st.Attempts != 1 ||
		st.Objects != int64(len(sums)) {
		t.Errorf("%d files are on the volume; the status says %+v with shards %+v", len(sums), st, st.Shards)
	}
	if got := bucket.CopiedBy(story.Peers[0], "parted/"); !cmp.Equal(got, sums) {
		t.Errorf("what was exported differs (-volume +bucket):\n%s", cmp.Diff(sums, got))
	}
	comesBack(s, bucket, "parted/", want)
	s.Delete(user)
}

// shardThatRuns waits for a pod of the Job that has a large file to send.
func shardThatRuns(s *story.Story, e *v1alpha1.S3Export) *corev1.Pod {
	s.T.Helper()
	var found *corev1.Pod
	s.Await("a shard that runs", func() error {
		var pods corev1.PodList
		if err := world.Client.List(s.T.Context(), &pods, client.InNamespace(e.Namespace),
			client.MatchingLabels{v1alpha1.LabelExportUID: string(e.UID)}, client.HasLabels{batchv1.JobNameLabel},
		); err != nil {
			return err
		}
		for i := range pods.Items {
			p := &pods.Items[i]
			if p.Status.Phase == corev1.PodRunning && p.Annotations[v1alpha1.AnnotationProgress] != "" {
				found = p
				return nil
			}
		}
		return fmt.Errorf("of %d pods none has told of its progress", len(pods.Items))
	})
	return found
}

// Several pods share the snapshot of a volume in use: what is exported is of its moment, although files are changed
// before any of it is sent, and what was made for that is gone afterwards.
func TestExportOfASnapshotInShards(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	cluster(s, class.Snapshot(s.Namespace, corev1.PersistentVolumeReclaimDelete))
	bucket := s.Bucket(story.VersityGW)
	proxy := s.Proxy(bucket)
	claim := s.Claim(story.Claim{Size: "64Mi"})
	user := s.User("user", claim.Name, "odd", story.MountPath) // As whom the movers run, while it is there.
	s.Output("many", claim.Name, "many", story.MountPath+"/many", "100")
	want := s.Output("before", claim.Name, "tree", story.MountPath)

	changed := newGate(s)
	proxy.Misbehave(story.Fault{Do: changed.hold, Of: func(r *http.Request) bool {
		return sends(r) && !strings.Contains(r.URL.Path, "/.s3populator/")
	}})
	e := s.Export("parted", claim.Name, bucket, snapshotted(s.Namespace), keptBelow("moment/"), proxied(proxy), inShards)
	for _, pod := range shardsThatRun(s, e, 2) {
		reads := func(v corev1.Volume) bool {
			return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == "s3export-"+string(e.UID)
		}
		if !slices.ContainsFunc(pod.Spec.Volumes, reads) {
			t.Errorf("pod %s reads another claim than the temporary one: %+v", pod.Name, pod.Spec.Volumes)
		}
	}
	s.Output("change", claim.Name, "change", story.MountPath+"/many", "1")
	if now := s.Output("now", claim.Name, "tree", story.MountPath); now == want {
		t.Fatal("no file has changed")
	}
	changed.open()
	done := s.Exported(e)
	if st := done.Status; st.Shards == nil || st.Shards.Total < 2 || st.Shards.Done != st.Shards.Total ||
		st.ChangedFiles > 0 || st.ClaimUID != string(claim.UID) || st.Attempts != 1 {
		t.Errorf("the status says %+v with shards %+v", st, st.Shards)
	}
	s.NothingTemporary()
	comesBack(s, bucket, "moment/", want)
	s.Delete(user)
}

// shardsThatRun waits until so many shards of an export have a pod that runs.
func shardsThatRun(s *story.Story, e *v1alpha1.S3Export, count int) map[string]corev1.Pod {
	s.T.Helper()
	var found map[string]corev1.Pod
	s.Await(fmt.Sprintf("%d shards that run", count), func() error {
		var pods corev1.PodList
		if err := world.Client.List(s.T.Context(), &pods, client.InNamespace(e.Namespace),
			client.MatchingLabels{v1alpha1.LabelExportUID: string(e.UID)}, client.HasLabels{batchv1.JobNameLabel},
		); err != nil {
			return err
		}
		found = map[string]corev1.Pod{}
		for _, p := range pods.Items {
			if p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil {
				found[p.Labels[batchv1.JobCompletionIndexAnnotation]] = p
			}
		}
		if len(found) < count {
			return fmt.Errorf("of %d pods %d run", len(pods.Items), len(found))
		}
		return nil
	})
	return found
}
