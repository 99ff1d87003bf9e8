// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// S3Import loads objects of an S3Source into a claim that exists, beside the pods that use it. It is
// one run, like a Job: it ends Complete or Failed, and another run is another S3Import. A file is
// replaced as a whole, so that a reader never sees a half of one.
//
// The manager also creates one for every claim that it fills, which the claim owns: that one only
// shows how far it is and where the data came from, and has no field of spec but claimName and sourceName.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=s3imp,categories=s3populator
// +kubebuilder:printcolumn:name="Claim",type=string,JSONPath=`.spec.claimName`
// +kubebuilder:printcolumn:name="Source",type=string,JSONPath=`.spec.sourceName`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="%",type=integer,JSONPath=`.status.progress.percent`
// +kubebuilder:printcolumn:name="Objects",type=string,JSONPath=`.status.progress.objects.text`
// +kubebuilder:printcolumn:name="Bytes",type=string,JSONPath=`.status.progress.bytes.text`
// +kubebuilder:printcolumn:name="Rate",type=string,JSONPath=`.status.progress.rate`
// +kubebuilder:printcolumn:name="ETA",type=string,JSONPath=`.status.progress.eta`
// +kubebuilder:printcolumn:name="Attempts",type=integer,JSONPath=`.status.attempts`,priority=1
// +kubebuilder:printcolumn:name="Digest",type=string,JSONPath=`.status.manifestDigest`,priority=1
// +kubebuilder:printcolumn:name="Engine",type=string,JSONPath=`.status.engine`,priority=1
// +kubebuilder:printcolumn:name="Bottleneck",type=string,JSONPath=`.status.bottleneck`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type S3Import struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec S3ImportSpec `json:"spec"`
	// +optional
	Status S3ImportStatus `json:"status,omitempty"`
}

// IsRecord tells an S3Import that only shows how a claim is filled: the manager makes it, and gives those that it
// makes for a token a role. That nobody else writes these labels is a policy's to see to.
func (i *S3Import) IsRecord() bool {
	return i.Labels[LabelManagedBy] == ManagedBy && i.Labels[LabelRole] == ""
}

// S3ImportList is a list of S3Import.
//
// +kubebuilder:object:root=true
type S3ImportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []S3Import `json:"items"`
}

// S3ImportSpec is one run. What is loaded, and where, cannot be changed, neither here nor by an edit of the source once
// the first mover is made: see status.selection. What only steers the run can: suspend, ttlSecondsAfterFinished, mover
// and retries.
//
// +kubebuilder:validation:XValidation:rule="has(self.prefix) == has(oldSelf.prefix) && (!has(self.prefix) || self.prefix == oldSelf.prefix)",message="prefix: an import is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="has(self.objects) == has(oldSelf.objects) && (!has(self.objects) || self.objects == oldSelf.objects)",message="objects: an import is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="has(self.targetPath) == has(oldSelf.targetPath) && (!has(self.targetPath) || self.targetPath == oldSelf.targetPath)",message="targetPath: an import is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="has(self.deleteExtra) == has(oldSelf.deleteExtra) && (!has(self.deleteExtra) || self.deleteExtra == oldSelf.deleteExtra)",message="deleteExtra: an import is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="!has(self.prefix) || !has(self.objects)",message="prefix: remove it or remove objects, which names each object by its whole key"
// +kubebuilder:validation:XValidation:rule="!has(self.deleteExtra) || !self.deleteExtra || !has(self.objects)",message="deleteExtra: remove it or remove objects; it removes what is not below prefix, and objects are single files"
// +kubebuilder:validation:XValidation:rule="!has(self.mover) || !has(self.mover.podSecurityContext) || !has(self.mover.podSecurityContext.fsGroup)",message="mover.podSecurityContext.fsGroup: remove it; the kubelet would change the group of every file of the volume. Name the group in supplementalGroups instead"
type S3ImportSpec struct {
	// SourceName is an S3Source of this namespace. How it is read, and as whom, is that source's to say.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="sourceName: an import is one run and cannot be changed; make a new one"
	SourceName string `json:"sourceName"`
	// ClaimName is a PersistentVolumeClaim of this namespace, Bound, with volumeMode Filesystem.
	// Until it is both there and Bound, the import waits.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="claimName: an import is one run and cannot be changed; make a new one"
	ClaimName string `json:"claimName"`

	// Prefix loads only the objects below it, of those that the source selects. It is whole, so it
	// begins with the prefix of the source; and it is a directory.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.contains('//') && !self.matches('(^|/)[.]{1,2}(/|$)')",message="prefix: a directory without '.', '..' or empty parts, and not beginning with '/', such as models/beta/"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(^|/)[.]s3populator(/|$)')",message="prefix: .s3populator is where exports keep their manifests; choose another name"
	Prefix string `json:"prefix,omitempty"`

	// Objects loads only these, of those that the source selects.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=1000
	Objects []S3Object `json:"objects,omitempty"`

	// TargetPath is the directory inside the volume that receives the files; it is made where it is not
	// there. For one object without a path it is the file, unless it ends in "/". Without it the files go
	// where a population from the source would put them.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.contains('//') && !self.matches('(^|/)[.]{1,2}(/|$)')",message="targetPath: a relative path without '.', '..' or empty parts, such as models/beta"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(^|/)[.]s3populator(/|$)')",message="targetPath: .s3populator is where movers keep their journals; choose another name"
	TargetPath string `json:"targetPath,omitempty"`

	// DeleteExtra removes regular files below targetPath, or where the files go without it, that are not among the objects
	// that are loaded, once those are verified, also files that programs write there meanwhile; directories that this
	// leaves empty go, too. All else stays: links, special files, what include and exclude of the source leave out,
	// mounted file systems, directories of the storage such as lost+found, and whatever is outside. Where nothing is
	// selected, nothing is removed and the import fails with SourceEmpty.
	// +optional
	DeleteExtra bool `json:"deleteExtra,omitempty"`

	// Suspend ends the mover and starts none until it is false again. What is loaded stays. To end a
	// run for good, delete it.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// TTLSecondsAfterFinished deletes the S3Import so long after it ended; what it has loaded stays.
	// Without it, the S3Import stays until somebody deletes it.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`

	// Mover says as whom the volume is written: without it as the user and the groups of the pod that uses
	// the claim. Everything else about the pod is spec.mover of the source.
	// +optional
	Mover *ImportMover `json:"mover,omitempty"`

	// Retries bounds the attempts; without it those of the source do. An import whose attempts are used up is
	// Failed.
	// +optional
	Retries *Retries `json:"retries,omitempty"`
}

// ImportMover says as whom a volume is written.
type ImportMover struct {
	// PodSecurityContext of the mover pod, instead of the user and groups of the pod that uses the claim. It
	// never has an fsGroup.
	// +optional
	PodSecurityContext *corev1.PodSecurityContext `json:"podSecurityContext,omitempty"`
}

// ImportPhase is Pending, Running, Suspended, Succeeded or Failed.
type ImportPhase string

// The phases of an S3Import.
const (
	ImportPending   ImportPhase = "Pending"
	ImportRunning   ImportPhase = "Running"
	ImportSuspended ImportPhase = "Suspended"
	ImportSucceeded ImportPhase = "Succeeded"
	ImportFailed    ImportPhase = "Failed"
)

// S3ImportStatus is what the run did so far.
type S3ImportStatus struct {
	// ObservedGeneration is the generation of the import that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Phase is Pending, Running, Suspended, Succeeded or Failed.
	// +optional
	Phase ImportPhase `json:"phase,omitempty"`
	// ClaimUID of the claim whose volume is written. A claim of the same name that is made later is
	// another one. This and the counts below are not on S3Imports that show how a claim is filled.
	// +optional
	ClaimUID string `json:"claimUID,omitempty"`
	// Selection is what the run loads, and where to, as its source had it just before the first mover was made. A run
	// loads that or is Failed: when its source selects something else before the end, it does not mix the two. It is not
	// on S3Imports that show how a claim is filled.
	// +optional
	Selection *ImportSelection `json:"selection,omitempty"`
	// Progress of the current attempt, or of the one that succeeded.
	// +optional
	Progress *ImportProgress `json:"progress,omitempty"`
	// Attempts counts mover pods, the running one included.
	// +optional
	Attempts int32 `json:"attempts,omitempty"`
	// Failures counts attempts that failed in a row without progress.
	// +optional
	Failures int32 `json:"failures,omitempty"`
	// Disruptions counts attempts in a row without progress that were ended from outside, as by an
	// eviction.
	// +optional
	Disruptions int32 `json:"disruptions,omitempty"`
	// Waits counts the latest attempts in a row that S3 throttled, or could not be reached for.
	// +optional
	Waits int32 `json:"waits,omitempty"`
	// EndedMover is the UID of the latest mover pod whose end is counted.
	// +optional
	EndedMover string `json:"endedMover,omitempty"`
	// NextAttemptTime is when the next attempt starts, after one that failed.
	// +optional
	NextAttemptTime *metav1.Time `json:"nextAttemptTime,omitempty"`
	// Objects that were selected.
	// +optional
	Objects int64 `json:"objects,omitempty"`
	// Bytes of those objects.
	// +optional
	Bytes int64 `json:"bytes,omitempty"`
	// FetchedBytes were read from S3 by the last attempt; files that held their object already were only
	// read on the volume.
	// +optional
	FetchedBytes int64 `json:"fetchedBytes,omitempty"`
	// UnchangedObjects were on the volume already and left alone.
	// +optional
	UnchangedObjects int64 `json:"unchangedObjects,omitempty"`
	// RemovedFiles were removed for deleteExtra.
	// +optional
	RemovedFiles int64 `json:"removedFiles,omitempty"`
	// SkippedKeys cannot be files and were left out, because unsafeKeys of the source is Skip.
	// +optional
	SkippedKeys int64 `json:"skippedKeys,omitempty"`
	// ManifestDigest of what is on the volume; see S3Source.status.inventory.digest.
	// +optional
	ManifestDigest string `json:"manifestDigest,omitempty"`
	// Engine that moved the data of the attempt that succeeded: MC or Native.
	// +optional
	// +kubebuilder:validation:Enum=MC;Native
	Engine Engine `json:"engine,omitempty"`
	// Bottleneck is what held that attempt up: Server (S3 took its time to answer), Network (the
	// bytes of answers came slowly), CPU, Disk (the volume took its time to write) or Throttled
	// (S3 asked for less, or transfer.bandwidth did). It is empty where the transfer was short, and
	// where the engine cannot tell: MC knows no server and no network.
	// +optional
	// +kubebuilder:validation:Enum=Server;Network;CPU;Disk;Throttled
	Bottleneck Bottleneck `json:"bottleneck,omitempty"`
	// StartTime is when the first mover started.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// CompletionTime is when the data was complete, or the run had failed.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// Conditions are Complete and Failed.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ImportSelection decides which objects a run loads, and where to. As whom they are read, how fast and by which pod is
// no part of it, and may be corrected in the source while the run lasts.
type ImportSelection struct {
	// Server that has the bucket: the endpoint, or the region where that is AWS.
	// +optional
	Server string `json:"server,omitempty"`
	// Bucket that holds the objects.
	// +optional
	Bucket string `json:"bucket,omitempty"`
	// Prefix of the keys; empty is the whole bucket, or a list of objects.
	// +optional
	Prefix string `json:"prefix,omitempty"`
	// ExportUID of the S3Export that is read, where the source names one by fromExport.
	// +optional
	ExportUID string `json:"exportUID,omitempty"`
	// TargetPath is the directory inside the volume that receives the files; empty is its root.
	// +optional
	TargetPath string `json:"targetPath,omitempty"`
	// ObjectsDigest of the objects that are named one by one, with their versions and paths.
	// +optional
	ObjectsDigest string `json:"objectsDigest,omitempty"`
	// GlobsDigest of include and exclude.
	// +optional
	GlobsDigest string `json:"globsDigest,omitempty"`
}

// Bottleneck is Server, Network, CPU, Disk or Throttled.
type Bottleneck string

// ImportProgress is how much of the data is on the volume.
type ImportProgress struct {
	// Percent of the bytes, or of the objects where there are no bytes; 100 only when done.
	Percent int32 `json:"percent"`
	// Objects that are on the volume, of all that are selected.
	Objects Counter `json:"objects"`
	// Bytes that are on the volume, of all that are selected.
	Bytes Counter `json:"bytes"`
	// BytesPerSecond of the last seconds; of the whole last attempt when done.
	// +optional
	BytesPerSecond int64 `json:"bytesPerSecond,omitempty"`
	// Rate is bytesPerSecond for people, such as 84Mi/s.
	// +optional
	Rate string `json:"rate,omitempty"`
	// ETA until all bytes are there, at that rate, such as 2m10s.
	// +optional
	ETA string `json:"eta,omitempty"`
}

// Counter is a part of a whole.
type Counter struct {
	// Done so far.
	Done int64 `json:"done"`
	// Total of all.
	Total int64 `json:"total"`
	// Text is done/total for people.
	// +optional
	Text string `json:"text,omitempty"`
}
