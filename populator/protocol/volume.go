// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// mismatch says why the PV controller would not bind a volume to a claim that it is
// reserved for. It compares what FindMatchingVolume of k8s.io/component-helpers compares
// for a pre-bound volume; the class is not among it.
func mismatch(volume *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) string {
	have, want := volume.Spec.Capacity[corev1.ResourceStorage], claim.Spec.Resources.Requests[corev1.ResourceStorage]
	switch {
	case volume.DeletionTimestamp != nil:
		return "it is being deleted"
	case have.Cmp(want) < 0:
		return fmt.Sprintf("it has %s, the claim requests %s", have.String(), want.String())
	case volumeMode(volume.Spec.VolumeMode) != volumeMode(claim.Spec.VolumeMode):
		return fmt.Sprintf(
			"its volumeMode is %s, the claim's %s",
			volumeMode(volume.Spec.VolumeMode),
			volumeMode(claim.Spec.VolumeMode),
		)
	case attributesClass(volume.Spec.VolumeAttributesClassName) != attributesClass(claim.Spec.VolumeAttributesClassName):
		return fmt.Sprintf("its volumeAttributesClassName is %q, the claim's %q",
			attributesClass(volume.Spec.VolumeAttributesClassName), attributesClass(claim.Spec.VolumeAttributesClassName))
	}
	for _, m := range claim.Spec.AccessModes {
		if !slices.Contains(volume.Spec.AccessModes, m) {
			return fmt.Sprintf("it does not offer access mode %s", m)
		}
	}
	return ""
}

func volumeMode(m *corev1.PersistentVolumeMode) corev1.PersistentVolumeMode {
	if m == nil {
		return corev1.PersistentVolumeFilesystem
	}
	return *m
}

func attributesClass(name *string) string {
	if name == nil {
		return ""
	}
	return *name
}

// ScratchPatch forces a volume's policy to Delete until the rebind, remembering its own.
// Its resourceVersion turns a change in between into a conflict.
func ScratchPatch(s State) ([]byte, error) {
	annotations := map[string]any{
		v1alpha1.AnnotationScratchFor:    string(s.Claim.UID),
		v1alpha1.AnnotationReclaimPolicy: ownPolicy(s.PrimeVolume),
	}
	if node := consumerNode(s); node != "" {
		annotations[v1alpha1.AnnotationAttachedByConsumer] = node
	}
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": s.PrimeVolume.ResourceVersion, "annotations": annotations},
		"spec":     map[string]any{"persistentVolumeReclaimPolicy": string(corev1.PersistentVolumeReclaimDelete)},
	})
}

// RebindPatch hands a filled volume over in one write: claimRef, the proof that it is
// complete, and its own reclaim policy. The claim's UID is always in it, because without
// one any later claim of that name could take the volume.
func RebindPatch(s State) ([]byte, error) {
	v, c := s.PrimeVolume, s.Claim
	stored, _ := Result(s.Prime)
	report := stored.Report
	return json.Marshal(map[string]any{
		"metadata": map[string]any{
			"resourceVersion": v.ResourceVersion,
			"annotations": map[string]any{
				v1alpha1.AnnotationPopulatedFor:   string(c.UID),
				v1alpha1.AnnotationPopulatedFrom:  c.Namespace + "/" + c.Spec.DataSourceRef.Name,
				v1alpha1.AnnotationManifestDigest: report.ManifestDigest,
				v1alpha1.AnnotationScratchFor:     nil,
				v1alpha1.AnnotationReclaimPolicy:  nil,

				v1alpha1.AnnotationAttachedByConsumer: nil,
			},
		},
		"spec": map[string]any{
			"persistentVolumeReclaimPolicy": ownPolicy(v),
			"claimRef": map[string]any{
				"apiVersion": "v1", "kind": "PersistentVolumeClaim",
				"namespace": c.Namespace, "name": c.Name, "uid": string(c.UID), "resourceVersion": nil,
			},
		},
	})
}

// StoredResult is the report of the mover that filled a prime, and when it was accepted.
type StoredResult struct {
	At      time.Time   `json:"at"`
	Attempt int32       `json:"attempt"`
	Report  wire.Report `json:"report"`
	// Hash is the RequestHash of the mover.
	Hash string `json:"hash,omitempty"`
}

// ResultOf is what a mover that is done leaves on its prime.
func ResultOf(s State) StoredResult {
	return StoredResult{
		At: s.Now.UTC(), Attempt: AttemptOf(s.Mover), Report: Ending(s.Mover),
		Hash: s.Mover.Annotations[v1alpha1.AnnotationRequestHash],
	}
}

// Result is what is stored on a prime; false where nothing readable is.
func Result(prime *corev1.PersistentVolumeClaim) (r StoredResult, ok bool) {
	err := json.Unmarshal([]byte(prime.Annotations[v1alpha1.AnnotationResult]), &r)
	return r, err == nil
}

func resultTime(prime *corev1.PersistentVolumeClaim) time.Time {
	if r, ok := Result(prime); ok && !r.At.IsZero() {
		return r.At
	}
	return prime.CreationTimestamp.Time
}

// AttemptOf is which attempt a mover is, from 1; zero is unknown.
func AttemptOf(mover *corev1.Pod) int32 {
	n, err := strconv.ParseInt(mover.Annotations[v1alpha1.AnnotationAttempt], 10, 32)
	if err != nil {
		return 0
	}
	return int32(n)
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
