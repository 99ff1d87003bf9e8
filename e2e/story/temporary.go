// SPDX-License-Identifier: Apache-2.0

package story

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Busy makes a pod that uses a claim: the probe goes on with these arguments until the pod is deleted.
func (s *Story) Busy(name, claim string, args ...string) *corev1.Pod {
	s.T.Helper()
	pod := s.pod(name, PodSpec(claim, false, false, args...))
	s.Await("pod "+name+" to run", func() error { return s.runs(pod) })
	return pod
}

// Text is the content of an object.
func (b *Bucket) Text(key string) string {
	b.story.T.Helper()
	o, err := b.s3.GetObject(b.story.T.Context(), b.Name, key, minio.GetObjectOptions{})
	b.story.must("read "+key, err)
	text, err := io.ReadAll(o)
	b.story.must("read "+key, err)
	return string(text)
}

// NothingTemporary waits until nothing is left that exports of this story made to read from: neither claims nor
// snapshots, nor volumes and contents of the cluster.
func (s *Story) NothingTemporary() {
	s.T.Helper()
	s.Await("nothing to be left that exports read from", func() error {
		ctx, here := s.T.Context(), client.InNamespace(s.Namespace)
		var claims corev1.PersistentVolumeClaimList
		var volumes corev1.PersistentVolumeList
		snapshots, contents := list("VolumeSnapshotList"), list("VolumeSnapshotContentList")
		c := s.World.Client
		err := errors.Join(c.List(ctx, &claims, here, client.HasLabels{v1alpha1.LabelExportUID}), c.List(ctx, &volumes),
			c.List(ctx, snapshots, here), c.List(ctx, contents))
		if err != nil {
			return err
		}
		left := names("claim", claims.Items, func(c corev1.PersistentVolumeClaim) string { return c.Name })
		left = append(left, names("snapshot", snapshots.Items, unstructuredName)...)
		for _, v := range volumes.Items {
			if ref := v.Spec.ClaimRef; ref != nil && ref.Namespace == s.Namespace && strings.HasPrefix(ref.Name, "s3export-") {
				left = append(left, "volume "+v.Name)
			}
		}
		for _, o := range contents.Items {
			if of, _, _ := unstructured.NestedString(o.Object, "spec", "volumeSnapshotRef", "namespace"); of == s.Namespace {
				left = append(left, "snapshot content "+o.GetName())
			}
		}
		if len(left) > 0 {
			return fmt.Errorf("still there: %v", left)
		}
		return nil
	})
}

func list(kind string) *unstructured.UnstructuredList {
	l := &unstructured.UnstructuredList{}
	l.SetAPIVersion("snapshot.storage.k8s.io/v1")
	l.SetKind(kind)
	return l
}

func unstructuredName(u unstructured.Unstructured) string { return u.GetName() }
