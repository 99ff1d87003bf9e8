// SPDX-License-Identifier: Apache-2.0

package final

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

const (
	uid      types.UID = "claim-uid"
	exporter types.UID = "export-claim-uid"
)

// change makes a state out of another one.
type change func(*State)

// world is a selected claim that is being deleted, whose users are gone, and whose volume is its own.
func world(changes ...change) State {
	s := State{Namespace: "team", Name: "data", UID: uid}
	s.Claim = &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "team", Name: "data", UID: uid, ResourceVersion: "7",
			Finalizers:        []string{"example.com/other", v1alpha1.FinalizerFinalExport},
			DeletionTimestamp: &metav1.Time{},
			Annotations: map[string]string{
				v1alpha1.AnnotationExportTo: "s3://backups/claims", v1alpha1.AnnotationExportEndpoint: "https://s3.example.com",
				v1alpha1.AnnotationExportSecret: "s3", v1alpha1.AnnotationExportOnDelete: "true",
			},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			VolumeName: "pv", AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			},
		},
	}
	s.Volume = &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pv", ResourceVersion: "9", Annotations: map[string]string{}},
		Spec: corev1.PersistentVolumeSpec{
			StorageClassName: "fast", PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			Capacity:    corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")},
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce, corev1.ReadOnlyMany},
			ClaimRef:    &corev1.ObjectReference{Namespace: "team", Name: "data", UID: uid},
		},
	}
	for _, c := range changes {
		c(&s)
	}
	return s
}

// alive is before the deletion.
func alive(s *State) { s.Claim.DeletionTimestamp = nil }

func gone(s *State) { s.Claim = nil }

func released(s *State) { s.Claim.Finalizers = []string{"example.com/other"} }

func inUseByPods(s *State) { s.Claim.Finalizers = append(s.Claim.Finalizers, inUse[0]) }

func attachedTo(s *State) { s.Attachments = []string{"node-a"} }

func skipped(s *State) { s.Claim.Annotations[v1alpha1.AnnotationSkipFinalExport] = "true" }

func leaving(s *State) { s.Leaving = true }

func unselected(s *State) { delete(s.Claim.Annotations, v1alpha1.AnnotationExportOnDelete) }

// longUnasked: nothing has asked for the export for a minute.
func longUnasked(s *State) { s.Unasked = time.Minute }

func nowhere(s *State) { delete(s.Claim.Annotations, v1alpha1.AnnotationExportTo) }

func noVolume(s *State) { s.Volume = nil }

// taken is with the export claim.
func taken(s *State) {
	record, _ := json.Marshal(Record{
		Namespace: "team", Name: "data", UID: uid, Policy: corev1.PersistentVolumeReclaimDelete,
	})
	s.Volume.Annotations[v1alpha1.AnnotationFinalExport] = string(record)
	s.Volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	s.Volume.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "team", Name: ExportClaimName(uid), UID: exporter}
}

// noted is taken of a claim that had a run with files.
func noted(s *State) {
	taken(s)
	record, _ := RecordOf(s.Volume)
	record.Run, record.Files = "nightly", 7
	text, _ := json.Marshal(record)
	s.Volume.Annotations[v1alpha1.AnnotationFinalExport] = string(text)
}

// forgotten: somebody removed the record of a taken volume.
func forgotten(s *State) { delete(s.Volume.Annotations, v1alpha1.AnnotationFinalExport) }

func refersToUID(other types.UID) change {
	return func(s *State) { s.Volume.Spec.ClaimRef.UID = other }
}

func withPolicy(p corev1.PersistentVolumeReclaimPolicy) change {
	return func(s *State) { s.Volume.Spec.PersistentVolumeReclaimPolicy = p }
}

// byHand: somebody gave a taken volume back without the UID of the claim.
func byHand(s *State) {
	s.Volume.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "team", Name: "data"}
}

// renamed: the UID of the export claim below another name, which no controller believes.
func renamed(s *State) { s.Volume.Spec.ClaimRef.Name = "other-name" }

// later is a claim of the name of the user's.
func later(s *State) {
	s.Volume.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "team", Name: "data", UID: "later"}
}

func noRef(s *State) { s.Volume.Spec.ClaimRef = nil }

func givenAway(s *State) {
	s.Volume.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "team", Name: "other", UID: "other-uid"}
}

func volumeGoing(s *State) { s.Volume.DeletionTimestamp = &metav1.Time{} }

func exported(s *State) { s.Volume.Annotations[v1alpha1.AnnotationExportedFor] = string(uid) }

func marked(name string) change {
	return func(s *State) { s.Volume.Annotations[name] = "x" }
}

// exportClaim of ours, as the API server has it.
func exportClaim(s *State) {
	v := s.Volume
	if v == nil {
		v = world().Volume
	}
	s.ExportClaim = ExportClaim(State{Namespace: s.Namespace, Name: s.Name, UID: uid, Claim: s.Claim, Volume: v})
	s.ExportClaim.UID, s.ExportClaim.ResourceVersion = exporter, "11"
	s.ExportClaim.Status.Phase = corev1.ClaimBound
}

func exportClaimPending(s *State) {
	exportClaim(s)
	s.ExportClaim.Status.Phase = corev1.ClaimPending
}

func exportClaimGoing(s *State) {
	exportClaim(s)
	s.ExportClaim.DeletionTimestamp = &metav1.Time{}
}

func strangeExportClaim(s *State) {
	exportClaim(s)
	s.ExportClaim.Labels = nil
}

// run of ours, as the API server has it.
func run(s *State) {
	if s.Claim == nil {
		whole := world()
		whole.Namespace, whole.Name = s.Namespace, s.Name
		s.Export = Export(whole)
	} else {
		s.Export = Export(*s)
	}
	s.Export.UID, s.Export.ResourceVersion = "export-uid", "13"
	s.Export.Status.Phase = v1alpha1.ExportRunning
}

func ends(condition string, phase v1alpha1.ExportPhase) change {
	return func(s *State) {
		run(s)
		s.Export.Status.Phase, s.Export.Status.Location = phase, "s3://backups/claims/team/data/final"
		s.Export.Status.ClaimUID = string(exporter)
		s.Export.Status.Conditions = []metav1.Condition{
			{Type: condition, Status: metav1.ConditionTrue, Reason: "NoSuchBucket", Message: "the bucket is gone"},
		}
	}
}

func waiting(s *State) {
	run(s)
	s.Export.Status.Phase = v1alpha1.ExportPending
	s.Export.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionUnknown, Reason: "Queued", Message: "3 are ahead."},
	}
}

func complete(s *State) { ends(v1alpha1.ConditionComplete, v1alpha1.ExportSucceeded)(s) }

// but is a complete run that is not to be believed.
func but(spoil ...func(*v1alpha1.S3Export)) change {
	return func(s *State) {
		complete(s)
		for _, f := range spoil {
			f(s.Export)
		}
	}
}

func ofAnother(e *v1alpha1.S3Export) { e.Status.ClaimUID = "another" }

func ofNone(e *v1alpha1.S3Export) { e.Status.ClaimUID = "" }

func ofPart(e *v1alpha1.S3Export) { e.Spec.Path = "models" }

func filtered(e *v1alpha1.S3Export) { e.Spec.Exclude = []string{"*"} }

func chosen(e *v1alpha1.S3Export) { e.Spec.Include = []string{"*.ckpt"} }

func unsafe(e *v1alpha1.S3Export) { e.Spec.UnsafePaths = "Skip" }

func dry(e *v1alpha1.S3Export) { e.Spec.DryRun = true }

func changed(e *v1alpha1.S3Export) { e.Status.ChangedFiles = 1 }

func leftOut(e *v1alpha1.S3Export) { e.Status.SkippedPaths = 1 }

func movedAway(e *v1alpha1.S3Export) { e.Status.GoneFiles = 2 }

func full(e *v1alpha1.S3Export) { e.Status.Objects = 3 }

func linked(e *v1alpha1.S3Export) { e.Status.Links = 3 }

// emptied is a complete run without a file, of a claim that had some.
func emptied(s *State) {
	complete(s)
	s.Earlier = &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Name: "nightly"}}
	s.Earlier.Status.Objects = 7
}

// withNote is a claim that tells of a run with files, whose S3Export is gone.
func withNote(s *State) {
	s.Claim.Annotations[v1alpha1.AnnotationExportedFiles] = `{"claim":"claim-uid","run":"gone","uid":"e-1","files":7}`
}

// asBefore is a claim that had nothing but links.
func asBefore(s *State) { s.Earlier.Status.Objects, s.Earlier.Status.Links = 0, 3 }

// ofEarlier is a run that began with an export claim which somebody deleted.
func ofEarlier(s *State) {
	run(s)
	s.Export.Status.ClaimUID = "earlier"
}

func failing(s *State) { ends(v1alpha1.ConditionFailed, v1alpha1.ExportFailed)(s) }

func outdated(s *State) {
	failing(s)
	s.Export.Annotations[v1alpha1.AnnotationRequestHash] = "1:another"
}

func runGoing(s *State) {
	run(s)
	s.Export.DeletionTimestamp = &metav1.Time{}
}

func strangeRun(s *State) {
	complete(s)
	s.Export.Labels = nil
}

func pod(labels map[string]string, phase corev1.PodPhase) change {
	return func(s *State) {
		s.Pods = append(s.Pods, corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "reader", Namespace: "team", UID: "pod-uid", Labels: labels},
			Status:     corev1.PodStatus{Phase: phase},
		})
	}
}

var ourLabels = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
