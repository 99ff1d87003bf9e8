// SPDX-License-Identifier: Apache-2.0

// Package final exports claims that are being deleted, before they go. A finalizer of ours holds a
// claim that asks for it. No pod can use a claim that is being deleted, so when its users are gone
// its volume is handed to an export claim of ours, which an S3Export reads, and is handed back when
// the manifest is there. docs/design has the page.
//
// Every pass is observe, decide, act, report. What is decided (decide.go) and built (build.go,
// patch.go) is pure. At most one step is made in a pass.
package final

import (
	"encoding/json"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
)

// State is all that a decision may rest on. A nil object is absent. For a claim that is not being
// deleted only Claim, Policies, Unasked and Leaving are looked at, and nothing else is read.
type State struct {
	// Namespace, Name and UID of the claim.
	Namespace, Name string
	UID             types.UID
	// Claim is the user's; nil when none has this UID any more.
	Claim *corev1.PersistentVolumeClaim
	// Policies of the namespace with spec.onDelete, the one that decides first.
	Policies []v1alpha1.S3ExportPolicy
	// Unasked is for how long nothing has asked any more for the export of a claim that is held and not deleted.
	Unasked time.Duration
	// Leaving: its namespace is being deleted, and nothing can be made in it.
	Leaving bool
	// Volume is the claim's, or the one that was taken from it.
	Volume *corev1.PersistentVolume
	// Attachments are the nodes that Volume is attached to, while it is the claim's.
	Attachments []string
	// ExportClaim and Export have the names that ExportClaimName and ExportName say, whoever made them.
	ExportClaim *corev1.PersistentVolumeClaim
	Export      *v1alpha1.S3Export
	// Earlier is the last complete run of the claim that had files and is still there. It is read where Export is
	// complete and has none, and when the volume is taken.
	Earlier *v1alpha1.S3Export
	// Pods that use the export claim, once that is to go, or is on its way.
	Pods []corev1.Pod
}

// Selected tells whether a claim's annotations ask for its export before it goes; a policy may do so as well.
func Selected(claim *corev1.PersistentVolumeClaim) bool {
	return annotated.ExportOnDeleteAsked(claim) && !block(claim)
}

// block volumes hold no files.
func block(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode == corev1.PersistentVolumeBlock
}

// Held tells whether our finalizer is on a claim.
func Held(claim *corev1.PersistentVolumeClaim) bool {
	return controllerutil.ContainsFinalizer(claim, v1alpha1.FinalizerFinalExport)
}

// Record is what a volume that was taken from its claim has to remember.
type Record struct {
	Namespace string                               `json:"namespace"`
	Name      string                               `json:"name"`
	UID       types.UID                            `json:"uid"`
	Policy    corev1.PersistentVolumeReclaimPolicy `json:"policy"`
	// Run is the last complete one of the claim that had files when the volume was taken, Files how many regular ones,
	// and Links. It may be deleted before the last one is judged by it: by its own TTL, with its policy, or with the claim
	// that owns it. That claim has a note of it, and may be gone, too.
	Run   string `json:"run,omitempty"`
	Files int64  `json:"files,omitempty"`
	Links int64  `json:"links,omitempty"`
}

// RecordOf is the record on a volume; false where there is none that can be read.
func RecordOf(volume *corev1.PersistentVolume) (r Record, ok bool) {
	err := json.Unmarshal([]byte(volume.Annotations[v1alpha1.AnnotationFinalExport]), &r)
	return r, err == nil && r.UID != "" && r.Namespace != "" && r.Name != "" && r.Policy != ""
}

// inUse are the finalizers by which Kubernetes and its CSI sidecars say that somebody reads or writes
// through a claim: pods, snapshots and clones.
var inUse = []string{
	"kubernetes.io/pvc-protection",
	"snapshot.storage.kubernetes.io/pvc-as-source-protection",
	"provisioner.storage.kubernetes.io/cloning-protection",
}

func used(claim *corev1.PersistentVolumeClaim) bool {
	return slices.ContainsFunc(claim.Finalizers, func(f string) bool { return slices.Contains(inUse, f) })
}

// free tells that nobody holds the claim for us: it is gone, or somebody took our finalizer off.
func (s State) free() bool { return s.Claim == nil || !Held(s.Claim) }

func (s State) skipped() bool {
	return s.Claim != nil && s.Claim.Annotations[v1alpha1.AnnotationSkipFinalExport] == v1alpha1.SkipFinalExport
}

// taken tells that the volume was taken from the claim and not given back yet. The record may be removed by
// anybody; a volume that the export claim has is away all the same.
func (s State) taken() bool {
	return s.Volume != nil && (s.recorded() || s.withExportClaim())
}

func (s State) recorded() bool {
	r, ok := RecordOf(s.Volume)
	return ok && r.UID == s.UID
}

// withExportClaim believes no name alone: users may name a claim like an export claim. Either the user's claim names
// the volume, or an export claim of ours does.
func (s State) withExportClaim() bool {
	ref := s.Volume.Spec.ClaimRef
	if ref == nil || s.Name == "" {
		return false
	}
	named := ref.Namespace == s.Namespace && ref.Name == ExportClaimName(s.UID)
	if s.ownsExportClaim() {
		return named || ref.UID == s.ExportClaim.UID
	}
	return named && s.Claim != nil && s.Claim.Spec.VolumeName == s.Volume.Name
}

// record is the one on the volume. Where it was lost the policy is Retain: what the volume had is not known, and a
// copy in the user's namespace would let users set it.
func (s State) record() Record {
	if r, ok := RecordOf(s.Volume); ok && r.UID == s.UID {
		return r
	}
	r := Record{Namespace: s.Namespace, Name: s.Name, UID: s.UID, Policy: s.Volume.Spec.PersistentVolumeReclaimPolicy}
	if s.withExportClaim() {
		r.Policy = corev1.PersistentVolumeReclaimRetain
	}
	r.Run, r.Files, r.Links = s.earlier()
	return r
}

// earlier is the last complete run of the claim that had files, how many regular ones, and links. One that had links
// alone is it where nobody knows of one with regular files.
func (s State) earlier() (run string, files, links int64) {
	for _, had := range s.had() {
		if run == "" || files == 0 && had.Files > 0 {
			run, files, links = had.Run, had.Files, had.Links
		}
	}
	return run, files, links
}

// had are runs with files: one that is there, one that was when the volume was taken, and one that the claim has a note
// of.
func (s State) had() (all []annotated.Files) {
	if e := s.Earlier; e != nil {
		all = append(all, annotated.Files{Run: e.Name, Files: e.Status.Objects, Links: e.Status.Links})
	}
	if r, ok := RecordOf(s.Volume); ok && r.UID == s.UID && r.Files+r.Links > 0 {
		all = append(all, annotated.Files{Run: r.Run, Files: r.Files, Links: r.Links})
	}
	if s.Claim != nil {
		if note, ok := annotated.FilesOf(s.Claim); ok {
			all = append(all, note)
		}
	}
	return all
}

// exported tells that the volume was given back after a complete export.
func (s State) exported() bool {
	return s.Volume != nil && s.Volume.Annotations[v1alpha1.AnnotationExportedFor] == string(s.UID)
}

// ours tells that an object with a name of ours was made by us for this claim.
func (s State) ours(labels map[string]string) bool {
	return labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy &&
		labels[v1alpha1.LabelRole] == v1alpha1.RoleFinalExport && labels[v1alpha1.LabelClaimUID] == string(s.UID)
}

// ownsExportClaim also asks for the volume: a claim of any other one is of no use here.
func (s State) ownsExportClaim() bool {
	return s.ExportClaim != nil && s.ours(s.ExportClaim.Labels) &&
		(s.Volume == nil || s.ExportClaim.Spec.VolumeName == s.Volume.Name)
}

func (s State) ownsExport() bool {
	return s.Export != nil && s.ours(s.Export.Labels) && s.Export.Spec.ClaimName == ExportClaimName(s.UID)
}

// complete tells that the manifest of the taken volume is in S3: of the claim that has the volume now.
func (s State) complete() bool {
	return s.Volume != nil && s.finished() && refersTo(s.Volume, types.UID(s.Export.Status.ClaimUID))
}

// finished tells that a run of ours read the whole of an export claim, which nobody changed meanwhile.
func (s State) finished() bool {
	return s.ownsExport() && whole(s.Export) && s.allNames() && succeeded(s.Export) && stood(s.Export) && !s.emptied() &&
		s.Export.Status.ClaimUID != ""
}

// emptied tells that a run found no regular file where one before it had some, or nothing where it had links: a disk
// that is not mounted is an empty volume, too. Of a volume that was given back it is decided.
func (s State) emptied() bool {
	if s.Volume == nil || s.exported() {
		return false
	}
	_, files, links := s.earlier()
	return files > 0 && s.Export.Status.Objects == 0 || links > 0 && s.Export.IsEmpty()
}

// stood tells that nobody wrote to the volume while it was read.
func stood(export *v1alpha1.S3Export) bool {
	return export.Status.ChangedFiles == 0 &&
		export.Status.GoneFiles == 0
}

func succeeded(export *v1alpha1.S3Export) bool {
	return meta.IsStatusConditionTrue(export.Status.Conditions, v1alpha1.ConditionComplete)
}

// whole tells that nothing of the volume is left out, which Export never does.
func whole(export *v1alpha1.S3Export) bool {
	e := export.Spec
	return !e.DryRun && e.Path == "" && len(e.Include) == 0 && len(e.Exclude) == 0
}

// allNames tells that no file is left out for its name, or that somebody who may ask for exports wants that: without
// it, a name that cannot be a key would hold the claim for ever. What is in .snapshots at the root of the volume is
// left out whatever was asked for. Of a volume that was given back it is decided, and where there is none any more
// nothing is left to hold.
func (s State) allNames() bool {
	if s.Volume == nil || s.exported() {
		return true
	}
	if s.Export.Spec.UnsafePaths != v1alpha1.UnsafePathsSkip {
		return s.Export.Status.SkippedPaths == 0
	}
	asked, wrong := wish(s)
	return wrong == "" && asked.UnsafePaths == v1alpha1.UnsafePathsSkip
}

func failed(export *v1alpha1.S3Export) bool {
	return meta.IsStatusConditionTrue(export.Status.Conditions, v1alpha1.ConditionFailed)
}

// refersTo tells whose a volume is by the only key that cannot be reused.
func refersTo(volume *corev1.PersistentVolume, uid types.UID) bool {
	return volume.Spec.ClaimRef != nil && volume.Spec.ClaimRef.UID == uid
}

// keeps tells that a taken volume is the export claim's in every field, and is kept when that claim goes.
func (s State) keeps() bool {
	ref := s.Volume.Spec.ClaimRef
	return s.Volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain && ref != nil &&
		ref.UID == s.ExportClaim.UID && ref.Namespace == s.ExportClaim.Namespace && ref.Name == s.ExportClaim.Name
}

// foreign tells that somebody gave a taken volume to a claim that is neither the user's nor ours.
func (s State) foreign() bool {
	ref := s.Volume.Spec.ClaimRef
	if ref == nil || ref.UID == s.UID || s.ExportClaim != nil && ref.UID == s.ExportClaim.UID && s.ownsExportClaim() {
		return false
	}
	// Without a UID it was given back by hand; a claim of another UID is a later one of that name.
	own := s.record()
	byHand := ref.UID == "" && ref.Namespace == own.Namespace && ref.Name == own.Name
	return !byHand && (ref.Namespace != s.Namespace || ref.Name != ExportClaimName(s.UID))
}

// deleting tells that there is more to do than to hold a claim.
func (s State) deleting() bool { return s.Claim == nil || s.Claim.DeletionTimestamp != nil }
