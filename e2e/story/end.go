// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// end explains a failure, searches for secrets while everything is there, deletes what the user
// made, asserts that nothing of ours stays behind, and judges what happened until then.
func (s *Story) end() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if s.T.Failed() {
		s.T.Logf("namespace %s:\n%s", s.Namespace, s.World.describeNamespace(ctx, s.Namespace))
	}
	s.searchSecrets(ctx)
	if s.T.Failed() && s.World.options.Keep {
		return // for whoever looks into it
	}
	if err := s.World.Faults.Reset(ctx, s.Namespace); err != nil {
		s.T.Errorf("end the disturbances: %v", err)
	}
	s.deleteUsers(ctx)
	err := await(ctx, s.World.Seen.Changed, func() error { return s.World.leftIn(ctx, s.Namespace) })
	if err != nil {
		s.T.Errorf(
			"after everything was deleted in %s: %v\n%s",
			s.Namespace,
			err,
			s.World.describeNamespace(ctx, s.Namespace),
		)
	}
	s.judgeStory(ctx)
	namespace := &corev1.Namespace{ObjectMeta: objectMeta(s.Namespace)}
	if err := client.IgnoreNotFound(s.World.Client.Delete(ctx, namespace)); err != nil {
		s.T.Errorf("delete namespace: %v", err)
	}
}

// AbandonToBinder waives the first invariant for a claim that the story lets the PV controller
// bind to a volume of its own.
func (s *Story) AbandonToBinder(claim string) {
	s.World.Seen.waive(s.Namespace + "/" + claim)
}

// deleteUsers deletes what users make; nothing that we made, so that what goes with it is
// our own doing.
func (s *Story) deleteUsers(ctx context.Context) {
	in := client.InNamespace(s.Namespace)
	all := func(kind client.Object) {
		if err := s.World.Client.DeleteAllOf(ctx, kind, in, client.PropagationPolicy("Background")); err != nil {
			s.T.Errorf("delete every %T: %v", kind, err)
		}
	}
	all(&appsv1.StatefulSet{})
	all(&batchv1.Job{})
	var pods corev1.PodList
	var claims corev1.PersistentVolumeClaimList
	if err := errors.Join(s.World.Client.List(ctx, &pods, in), s.World.Client.List(ctx, &claims, in)); err != nil {
		s.T.Errorf("list what users made: %v", err)
	}
	for i := range pods.Items {
		s.deleteUnlessOurs(ctx, &pods.Items[i])
	}
	for i := range claims.Items {
		s.deleteUnlessOurs(ctx, &claims.Items[i])
	}
	all(&v1alpha1.S3ExportPolicy{})
	all(&v1alpha1.S3Export{})
	s.deleteImports(ctx)
	all(&v1alpha1.S3Source{}) // The last, or claims that wait would miss it.
}

func (s *Story) deleteUnlessOurs(ctx context.Context, o client.Object) {
	if o.GetLabels()[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy {
		return
	}
	if err := client.IgnoreNotFound(s.World.Client.Delete(ctx, o)); err != nil {
		s.T.Errorf("delete %T %s: %v", o, o.GetName(), err)
	}
}

// leftIn tells what is still there of a namespace whose users have deleted everything:
// pods, claims, imports, volumes, and what the CSI driver has of them.
func (w *World) leftIn(ctx context.Context, namespace string) error {
	in := client.InNamespace(namespace)
	var pods corev1.PodList
	var jobs batchv1.JobList
	var claims corev1.PersistentVolumeClaimList
	var imports v1alpha1.S3ImportList
	var exports v1alpha1.S3ExportList
	var volumes corev1.PersistentVolumeList
	for _, list := range []client.ObjectList{&pods, &jobs, &claims, &imports, &exports} {
		if err := w.Client.List(ctx, list, in); err != nil {
			return fmt.Errorf("list what is left: %w", err)
		}
	}
	if err := w.Client.List(ctx, &volumes); err != nil {
		return fmt.Errorf("list volumes: %w", err)
	}
	var left []string
	left = append(left, names("pod", pods.Items, func(p corev1.Pod) string { return p.Name })...)
	left = append(left, names("job", jobs.Items, func(j batchv1.Job) string { return j.Name })...)
	left = append(left, names("claim", claims.Items, func(c corev1.PersistentVolumeClaim) string { return c.Name })...)
	left = append(left, names("S3Import", imports.Items, func(i v1alpha1.S3Import) string { return i.Name })...)
	left = append(left, names("S3Export", exports.Items, func(e v1alpha1.S3Export) string { return e.Name })...)
	ofNamespace := slices.DeleteFunc(volumes.Items, func(v corev1.PersistentVolume) bool {
		return v.Spec.ClaimRef == nil || v.Spec.ClaimRef.Namespace != namespace
	})
	left = append(
		left,
		names("PersistentVolume", ofNamespace, func(v corev1.PersistentVolume) string { return v.Name })...)
	stored, err := w.Faults.Volumes(ctx, namespace)
	if err != nil {
		return fmt.Errorf("ask the CSI driver: %w", err)
	}
	for _, v := range stored {
		left = append(
			left,
			fmt.Sprintf("CSI volume %s of claim %s, devices %v, mounts %v", v.ID, v.Claim, v.Devices, v.Mounts),
		)
	}
	if len(left) > 0 {
		return fmt.Errorf("still there: %v", left)
	}
	return nil
}

// Names are those of the objects of a list, for messages.
func Names(list client.ObjectList) (all []string) {
	_ = meta.EachListItem(list, func(o runtime.Object) error { // fails only as the function does
		all = append(all, o.(client.Object).GetName())
		return nil
	})
	return all
}

func names[T any](kind string, items []T, name func(T) string) []string {
	out := make([]string, 0, len(items))
	for _, item := range items {
		out = append(out, kind+" "+name(item))
	}
	return out
}
