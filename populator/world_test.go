// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/populator/protocol"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

const claimUID = "11111111-2222-3333-4444-555555555555"

var doneReport = wire.Report{Class: wire.Done, Objects: 7, Bytes: 1 << 20, ManifestDigest: "sha256:abc"}

// change makes something of a world true.
type change func(*protocol.State)

// world is a claim of ours with a source and a CSI class that binds at once, and changes.
func world(changes ...change) protocol.State {
	s := protocol.State{
		Now: noon,
		Claim: &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{
				Name: "data", Namespace: "team", UID: claimUID, ResourceVersion: "10",
				CreationTimestamp: metav1.NewTime(noon.Add(-time.Minute)),
				Annotations:       map[string]string{v1alpha1.AnnotationStorageProvisioner: "csi.example.com"},
			},
			Spec: corev1.PersistentVolumeClaimSpec{
				StorageClassName: new("fast"),
				AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources: corev1.VolumeResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
				},
				DataSourceRef: &corev1.TypedObjectReference{
					APIGroup: new(v1alpha1.Group),
					Kind:     v1alpha1.KindS3Source,
					Name:     "models",
				},
			},
		},
		Source: &v1alpha1.S3Source{
			ObjectMeta: metav1.ObjectMeta{Name: "models", Namespace: "team", UID: "source-uid", Generation: 1},
			Spec: v1alpha1.S3SourceSpec{
				S3Location: v1alpha1.S3Location{Bucket: "datasets", Endpoint: "http://s3"},
				Retries:    v1alpha1.Retries{Limit: new(int32(3))},
			},
		},
		Class: &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{
				Name: "fast",
			}, Provisioner: "csi.example.com", VolumeBindingMode: new(storagev1.VolumeBindingImmediate),
		},
		CSI: true,
	}
	for _, c := range changes {
		c(&s)
	}
	return s
}

func lateClass(s *protocol.State) {
	s.Class.VolumeBindingMode = new(storagev1.VolumeBindingWaitForFirstConsumer)
}

func claimNode(s *protocol.State) { s.Claim.Annotations[v1alpha1.AnnotationSelectedNode] = "a" }

func volume(name string, claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{v1alpha1.AnnotationProvisionedBy: "csi.example.com"},
		},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			ClaimRef:                      &corev1.ObjectReference{Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
		},
	}
}

// withPrime has a prime that is filled and bound to pv-1.
func withPrime(s *protocol.State) {
	s.Prime = protocol.Prime(*s, nil)
	s.Prime.UID, s.Prime.Spec.VolumeName = "prime-uid", "pv-1"
	result, err := json.Marshal(protocol.StoredResult{At: noon, Report: doneReport})
	if err != nil {
		panic(err)
	}
	s.Prime.Annotations[v1alpha1.AnnotationPopulated] = "mover-uid"
	s.Prime.Annotations[v1alpha1.AnnotationResult] = string(result)
}

// boundToOurs is the end: the claim is bound to a volume that we filled for it.
func boundToOurs(s *protocol.State) {
	s.Claim.Spec.VolumeName = "pv-1"
	s.Claim.Annotations[v1alpha1.AnnotationBindCompleted] = "yes"
	s.Claim.Status.Phase = corev1.ClaimBound
	s.ClaimVolume = volume("pv-1", s.Claim)
	s.ClaimVolume.Annotations[v1alpha1.AnnotationPopulatedFor] = claimUID
}

// moverIn is a mover of one container in a phase.
func moverIn(phase corev1.PodPhase, statuses ...corev1.ContainerStatus) change {
	return func(s *protocol.State) {
		s.Mover = &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: protocol.MoverName(s.Claim), Namespace: "team", UID: "mover-uid"},
			Spec:       corev1.PodSpec{Containers: make([]corev1.Container, max(1, len(statuses)))},
			Status:     corev1.PodStatus{Phase: phase, ContainerStatuses: statuses},
		}
	}
}

func ended(code int32) corev1.ContainerStatus {
	return corev1.ContainerStatus{
		Name:  moverpod.ContainerName,
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}},
	}
}

func testOptions() Options {
	return Options{
		Image:       moverpod.Image{Name: "s3populator/mover:v1", PullPolicy: corev1.PullIfNotPresent},
		ProgressURL: "https://s3populator.s3populator-system.svc",
		ProgressCA:  func() []byte { return []byte("PEM") },
		Now:         func() time.Time { return noon },
	}
}
