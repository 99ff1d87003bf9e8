// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/transfer/export/protocol"
)

// The kinds of external-snapshotter. They are custom resources with few fields that matter here, which its CRDs
// of version v1 describe: https://github.com/kubernetes-csi/external-snapshotter/tree/master/client/config/crd
var (
	snapshotKind = schema.GroupVersionKind{Group: protocol.SnapshotGroup, Version: "v1", Kind: protocol.KindSnapshot}
	classKind    = schema.GroupVersionKind{Group: protocol.SnapshotGroup, Version: "v1", Kind: "VolumeSnapshotClass"}
)

// defaultClass on a VolumeSnapshotClass is written by an administrator.
const defaultClass = "snapshot.storage.kubernetes.io/is-default-class"

// unavailable tells that the cluster does not know the kind of an object; a server answers NotFound for a list or a
// creation then.
func unavailable(err error) bool { return meta.IsNoMatchError(err) || apierrors.IsNotFound(err) }

// snapshot is nil where there is none, and unavailable where there cannot be one.
func (r *Reconciler) snapshot(ctx context.Context, name types.NamespacedName) (*protocol.Snapshot, bool, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(snapshotKind)
	err := r.Live.Get(ctx, name, u)
	switch {
	case meta.IsNoMatchError(err):
		return nil, true, nil
	case apierrors.IsNotFound(err):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("read VolumeSnapshot %s: %w", name.Name, err)
	}
	return snapshotOf(u), false, nil
}

// snapshotOf reads the fields that matter; one that is not as its CRD says is as if it were not set.
func snapshotOf(u *unstructured.Unstructured) *protocol.Snapshot {
	s := &protocol.Snapshot{ObjectMeta: metav1.ObjectMeta{
		Namespace: u.GetNamespace(), Name: u.GetName(), UID: u.GetUID(), Labels: u.GetLabels(),
		CreationTimestamp: u.GetCreationTimestamp(), DeletionTimestamp: u.GetDeletionTimestamp(),
		Finalizers: u.GetFinalizers(),
	}}
	s.ClaimName, _, _ = unstructured.NestedString(u.Object, "spec", "source", "persistentVolumeClaimName")
	s.Ready, _, _ = unstructured.NestedBool(u.Object, "status", "readyToUse")
	s.Error, _, _ = unstructured.NestedString(u.Object, "status", "error", "message")
	if _, failed, _ := unstructured.NestedMap(u.Object, "status", "error"); failed && s.Error == "" {
		s.Error = "its status has an error without a message"
	}
	content, _, _ := unstructured.NestedString(u.Object, "status", "boundVolumeSnapshotContentName")
	taken, _, _ := unstructured.NestedString(u.Object, "status", "creationTime")
	s.Content, s.Taken = content != "", taken != ""
	if text, _, _ := unstructured.NestedString(u.Object, "status", "restoreSize"); text != "" {
		if q, err := resource.ParseQuantity(text); err == nil {
			s.Size = &q
		}
	}
	return s
}

// snapshotClasses are all of the cluster; none where it has no such kind.
func (r *Reconciler) snapshotClasses(ctx context.Context) ([]protocol.SnapshotClass, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(classKind)
	if err := r.Live.List(ctx, list); err != nil {
		if unavailable(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("list VolumeSnapshotClasses: %w", err)
	}
	var all []protocol.SnapshotClass
	for i := range list.Items {
		u := &list.Items[i]
		driver, _, _ := unstructured.NestedString(u.Object, "driver")
		policy, _, _ := unstructured.NestedString(u.Object, "deletionPolicy")
		all = append(all, protocol.SnapshotClass{
			Name: u.GetName(), Driver: driver, Deletes: policy == "Delete",
			Default: u.GetAnnotations()[defaultClass] == "true",
		})
	}
	return all, nil
}

// newSnapshot is the object for a claim, by a class.
func newSnapshot(of metav1.ObjectMeta, claim, class string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"volumeSnapshotClassName": class, "source": map[string]any{"persistentVolumeClaimName": claim},
	}}}
	u.SetGroupVersionKind(snapshotKind)
	u.SetNamespace(of.Namespace)
	u.SetName(of.Name)
	u.SetLabels(of.Labels)
	u.SetOwnerReferences(of.OwnerReferences)
	return u
}

// snapshotNamed is enough to delete one.
func snapshotNamed(namespace, name string) client.Object {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(snapshotKind)
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}
