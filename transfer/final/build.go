// SPDX-License-Identifier: Apache-2.0

package final

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// ExportClaimPrefix begins the names of export claims; the claim's UID follows.
const ExportClaimPrefix = "s3export-"

// exportPrefix begins the names of S3Exports of final exports; the claim's UID follows.
const exportPrefix = "final-"

// keepExport is how long the S3Export of a final export tells where the data is: a week.
const keepExport int32 = 7 * 24 * 60 * 60

// ExportClaimName is that of the claim which has the volume during a final export.
func ExportClaimName(uid types.UID) string { return ExportClaimPrefix + string(uid) }

// ExportName is that of the S3Export.
func ExportName(uid types.UID) string { return exportPrefix + string(uid) }

// object is what both have in common. The claim that is being deleted does not own them: a
// foreground deletion would collect them first.
func object(s State, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: s.Namespace, Name: name,
		Labels: map[string]string{
			v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelRole: v1alpha1.RoleFinalExport,
			v1alpha1.LabelClaimUID: string(s.UID), v1alpha1.LabelVeleroExclude: "true",
		},
		Annotations: map[string]string{v1alpha1.AnnotationExportOf: s.Name},
	}
}

// ExportClaim names its volume from the beginning, so that none is made for it: until it is handed over,
// the PV controller leaves a claim Pending whose volume is another's.
func ExportClaim(s State) *corev1.PersistentVolumeClaim {
	v := s.Volume
	class := v.Spec.StorageClassName
	modes := v.Spec.AccessModes
	request := v.Spec.Capacity
	if s.Claim != nil {
		modes, request = s.Claim.Spec.AccessModes, s.Claim.Spec.Resources.Requests
	}
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: object(s, ExportClaimName(s.UID)),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: modes, StorageClassName: &class, VolumeMode: v.Spec.VolumeMode, VolumeName: v.Name,
			VolumeAttributesClassName: v.Spec.VolumeAttributesClassName,
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: request[corev1.ResourceStorage]},
			},
		},
	}
}

// Export is the run. Its hash tells a later pass whether it is what is asked for then, and its volume whether that was
// given back, before which it does not expire.
func Export(s State) *v1alpha1.S3Export {
	template, _ := wish(s)
	e := &v1alpha1.S3Export{ObjectMeta: object(s, ExportName(s.UID)), Spec: v1alpha1.S3ExportSpec{
		ClaimName: ExportClaimName(s.UID), S3ExportTemplate: template,
	}}
	e.Annotations[v1alpha1.AnnotationRequestHash] = hashOf(s, template)
	if s.Volume != nil {
		e.Annotations[v1alpha1.AnnotationExportVolume] = s.Volume.Name
	}
	return e
}

// hashOf what is asked for: where to and as whom, the token by which a user asks to try again, and whatever else a
// policy says.
func hashOf(s State, template v1alpha1.S3ExportTemplate) string {
	asked := []any{template.Destination, template.Mover, s.Claim.Annotations[v1alpha1.AnnotationRetry]}
	template.Destination, template.Mover = v1alpha1.ExportDestination{}, v1alpha1.Mover{}
	template.TTLSecondsAfterFinished = nil
	if !reflect.DeepEqual(template, v1alpha1.S3ExportTemplate{}) {
		asked = append(asked, template)
	}
	h := sha256.New()
	// Encoding a struct of strings, numbers and maps of strings cannot fail.
	_ = json.NewEncoder(h).Encode(asked)
	return "1:" + hex.EncodeToString(h.Sum(nil))[:32]
}

// FinalizerPatch puts our finalizer on a claim, or takes it off, if the claim is as it was observed.
func FinalizerPatch(claim *corev1.PersistentVolumeClaim, held bool) ([]byte, error) {
	finalizers := []string{}
	for _, f := range claim.Finalizers {
		if f != v1alpha1.FinalizerFinalExport {
			finalizers = append(finalizers, f)
		}
	}
	if held {
		finalizers = append(finalizers, v1alpha1.FinalizerFinalExport)
	}
	return json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": claim.UID, "resourceVersion": claim.ResourceVersion, "finalizers": finalizers,
	}})
}

// TakePatch hands the volume to the export claim in one write: claimRef, which is never empty, the policy
// Retain, and the record of what was there before. A volume that was taken before keeps its record.
func TakePatch(s State) ([]byte, error) {
	record, err := json.Marshal(s.record())
	if err != nil {
		return nil, err //nolint:wrapcheck // The caller says what is encoded.
	}
	return volumePatch(s.Volume, map[string]any{v1alpha1.AnnotationFinalExport: string(record)},
		corev1.PersistentVolumeReclaimRetain, claimRef(s.ExportClaim.Namespace, s.ExportClaim.Name, s.ExportClaim.UID))
}

// ReturnPatch hands it back in one write: claimRef, the policy, and, if it was exported, where to.
func ReturnPatch(s State) ([]byte, error) {
	r := s.record()
	annotations := map[string]any{v1alpha1.AnnotationFinalExport: nil}
	if s.complete() {
		annotations[v1alpha1.AnnotationExportedFor] = string(s.UID)
		annotations[v1alpha1.AnnotationExportedTo] = s.Export.Status.Location
	}
	return volumePatch(s.Volume, annotations, r.Policy, claimRef(r.Namespace, r.Name, r.UID))
}

// claimRef always has the UID of the claim, because without one any later claim of that name could take the volume.
func claimRef(namespace, name string, uid types.UID) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim",
		"namespace": namespace, "name": name, "uid": uid, "resourceVersion": nil,
	}
}

// volumePatch carries the resourceVersion of the volume as it was observed.
func volumePatch(v *corev1.PersistentVolume, annotations map[string]any,
	policy corev1.PersistentVolumeReclaimPolicy, ref map[string]any,
) ([]byte, error) {
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": v.ResourceVersion, "annotations": annotations},
		"spec":     map[string]any{"persistentVolumeReclaimPolicy": policy, "claimRef": ref},
	})
}
