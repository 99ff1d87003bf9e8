// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// Temporary is what an export with consistency Snapshot or Clone makes for itself, and what that is made by. It
// is read until all of it was removed.
type Temporary struct {
	// Snapshot is the VolumeSnapshot; Unavailable means that the cluster has no such kind.
	Snapshot    *Snapshot
	Unavailable bool
	// Claim is the temporary claim, and Volume the one that it is bound to.
	Claim  *corev1.PersistentVolumeClaim
	Volume *corev1.PersistentVolume
	// Consumer is the pod that has a claim bound whose class waits for one.
	Consumer *corev1.Pod
	// Trouble is the latest Warning event of a claim that is not bound yet.
	Trouble string
	// Source is the volume of the claim that is exported. It and the classes are read before anything is
	// made, and until the temporary claim is bound.
	Source          *corev1.PersistentVolume
	Class           *storagev1.StorageClass
	SnapshotClasses []SnapshotClass
	// Free is a volume that the temporary claim would be bound to, while there is no such claim.
	Free string
}

// Snapshot is what is known of a VolumeSnapshot. The kind is a custom resource.
type Snapshot struct {
	metav1.ObjectMeta

	// ClaimName is spec.source.persistentVolumeClaimName.
	ClaimName string
	// Ready is status.readyToUse, Size status.restoreSize, and Error status.error.message.
	Ready bool
	Size  *resource.Quantity
	Error string
	// Content tells that status.boundVolumeSnapshotContentName is set, as the snapshot-controller does, and Taken that
	// status.creationTime is: the driver has taken it.
	Content, Taken bool
}

// SnapshotClass is what is known of a VolumeSnapshotClass.
type SnapshotClass struct {
	Name, Driver string
	// Default is for volumes of its driver; Deletes is its deletionPolicy.
	Default, Deletes bool
}

// SnapshotGroup is the API group of both.
const SnapshotGroup = "snapshot.storage.k8s.io"

// KindSnapshot is that of a snapshot.
const KindSnapshot = "VolumeSnapshot"

// TemporaryPrefix begins the name of the temporary claim and of the snapshot; the S3Export's UID follows.
const TemporaryPrefix = "s3export-"

// TemporaryName is derived from the S3Export's UID, so that two writers make one object.
func TemporaryName(export types.UID) string { return TemporaryPrefix + string(export) }

// Apart tells that an export reads a volume of its own, and not the one that pods use.
func Apart(e *v1alpha1.S3Export) bool {
	return e.Spec.Consistency == v1alpha1.ConsistencySnapshot || e.Spec.Consistency == v1alpha1.ConsistencyClone
}

// HoldsTemporary tells that something temporary of an export may be there.
func HoldsTemporary(e *v1alpha1.S3Export) bool {
	return Apart(e) && (Guarded(e) || !Over(e) && e.DeletionTimestamp == nil)
}

// IsTemporary tells that labels are those of a temporary object of some export, and returns its UID.
func IsTemporary(labels map[string]string) (types.UID, bool) {
	uid := labels[v1alpha1.LabelExportUID]
	return types.UID(uid), uid != "" && labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy &&
		labels[v1alpha1.LabelRole] == v1alpha1.RoleTemporary
}

func (s State) made(labels map[string]string) bool {
	uid, ok := IsTemporary(labels)
	return ok && uid == s.Export.UID
}

// ownsSnapshot also asks what it is of: one of another claim is of no use here, and not ours.
func (s State) ownsSnapshot() bool {
	return s.Temporary.Snapshot != nil && s.made(s.Temporary.Snapshot.Labels) &&
		s.Temporary.Snapshot.ClaimName == s.Export.Spec.ClaimName
}

// ownsTemporaryClaim also asks for the origin of its data.
func (s State) ownsTemporaryClaim() bool {
	c := s.Temporary.Claim
	return c != nil && s.made(c.Labels) && equality.Semantic.DeepEqual(c.Spec.DataSource, s.origin())
}

func (s State) ownsConsumer() bool {
	c := s.Temporary.Consumer
	return c != nil && OwnedBy(c, s.Export) && c.Labels[v1alpha1.LabelRole] == v1alpha1.RoleConsumer
}

// ofThisClaim tells that a temporary object was made from the claim that there is now.
func (s State) ofThisClaim(labels map[string]string) bool {
	return s.Claim != nil && labels[v1alpha1.LabelClaimUID] == string(s.Claim.UID)
}

func bound(claim *corev1.PersistentVolumeClaim) bool { return claim.Status.Phase == corev1.ClaimBound }

// TemporaryMeta is that of the temporary claim and of the snapshot. Nothing of the user's claim is copied: no
// policy selects them, and nothing asks for an export of them.
func TemporaryMeta(s State) metav1.ObjectMeta {
	e := s.Export
	return metav1.ObjectMeta{
		Namespace: e.Namespace, Name: TemporaryName(e.UID),
		Labels: map[string]string{
			v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelRole: v1alpha1.RoleTemporary,
			v1alpha1.LabelExportUID: string(e.UID), v1alpha1.LabelClaimUID: string(s.Claim.UID),
			v1alpha1.LabelVeleroExclude: "true",
		},
		OwnerReferences: []metav1.OwnerReference{
			*metav1.NewControllerRef(e, v1alpha1.GroupVersion.WithKind(v1alpha1.KindS3Export)),
		},
	}
}

// origin is where the data of the temporary claim comes from.
func (s State) origin() *corev1.TypedLocalObjectReference {
	if s.Export.Spec.Consistency == v1alpha1.ConsistencyClone {
		return &corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim", Name: s.Export.Spec.ClaimName}
	}
	return &corev1.TypedLocalObjectReference{
		APIGroup: new(SnapshotGroup), Kind: KindSnapshot, Name: TemporaryName(s.Export.UID),
	}
}

// TemporaryClaim is as large as the volume, or as what the snapshot asks for. It is ReadWriteOnce where the
// claim can be mounted for writing by one node: a journal that a snapshot caught open is replayed when it is mounted.
func TemporaryClaim(s State) *corev1.PersistentVolumeClaim {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: TemporaryMeta(s)}
	size := s.Claim.Status.Capacity[corev1.ResourceStorage]
	if snapshot := s.Temporary.Snapshot; snapshot != nil && s.Export.Spec.Consistency == v1alpha1.ConsistencySnapshot {
		claim.Labels[v1alpha1.LabelAsOf] = strconv.FormatInt(snapshot.CreationTimestamp.Unix(), 10)
		if snapshot.Size != nil && snapshot.Size.Cmp(size) > 0 {
			size = *snapshot.Size
		}
	}
	modes := s.Claim.Spec.AccessModes
	if slices.Contains(modes, corev1.ReadWriteOnce) || slices.Contains(modes, corev1.ReadWriteOncePod) {
		modes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	}
	claim.Spec = corev1.PersistentVolumeClaimSpec{
		AccessModes: modes, StorageClassName: new(ClassNameFor(s)), DataSource: s.origin(),
		VolumeMode: new(corev1.PersistentVolumeFilesystem),
		Resources:  corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: size}},
	}
	return claim
}

// ClassNameFor is the class of the temporary claim; empty where nothing names one.
func ClassNameFor(s State) string {
	if named := s.Export.Spec.StorageClassName; named != "" {
		return named
	}
	if s.Claim != nil && s.Claim.Spec.StorageClassName != nil {
		return *s.Claim.Spec.StorageClassName
	}
	return ""
}

// asOf is a time that the content of the temporary claim is not older than.
func asOf(claim *corev1.PersistentVolumeClaim) time.Time {
	if n, err := strconv.ParseInt(claim.Labels[v1alpha1.LabelAsOf], 10, 64); err == nil {
		return time.Unix(n, 0).UTC()
	}
	return claim.CreationTimestamp.UTC()
}

// Consumer has the temporary claim bound where its class waits for a pod: what it was bound to is looked at
// before a mover reads it.
func Consumer(s State, o Options) (*corev1.Pod, error) {
	e := s.Export
	security, known := securityFor(s, o.Defaults)
	if !known {
		return nil, errUserUnknown
	}
	spec := o.pod(e, v1alpha1.RoleConsumer, wire.Request{Attempt: int(NextAttempt(e))})
	spec.Name = moverpod.ConsumerName(string(e.UID))
	spec.Owner = *metav1.NewControllerRef(e, v1alpha1.GroupVersion.WithKind(v1alpha1.KindS3Export))
	spec.Mover.PodSecurityContext = security
	spec.ClaimName = s.Temporary.Claim.Name
	return moverpod.NewConsumer(spec), nil
}
