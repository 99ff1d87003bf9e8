// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// S3Import shows the progress of filling one claim from one source, and where its data came
// from. The manager creates one for every claim that it fills; the claim owns it.
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

// S3ImportList is a list of S3Import.
//
// +kubebuilder:object:root=true
type S3ImportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []S3Import `json:"items"`
}

// S3ImportSpec names both ends. What is loaded, and where, cannot be changed: an import is one
// run. Each field says so for itself, so that a field which steers the run need not.
type S3ImportSpec struct {
	// SourceName is an S3Source of this namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="sourceName: an import is one run and cannot be changed; make a new one"
	SourceName string `json:"sourceName"`
	// ClaimName is a PersistentVolumeClaim of this namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="claimName: an import is one run and cannot be changed; make a new one"
	ClaimName string `json:"claimName"`
}

// ImportPhase is Pending, Running, Succeeded or Failed.
type ImportPhase string

// The phases of an S3Import.
const (
	ImportPending   ImportPhase = "Pending"
	ImportRunning   ImportPhase = "Running"
	ImportSucceeded ImportPhase = "Succeeded"
	ImportFailed    ImportPhase = "Failed"
)

// S3ImportStatus is what the run did so far.
type S3ImportStatus struct {
	// ObservedGeneration is the generation of the import that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Phase is Pending, Running, Succeeded or Failed.
	// +optional
	Phase ImportPhase `json:"phase,omitempty"`
	// Progress of the current attempt, or of the one that succeeded.
	// +optional
	Progress *ImportProgress `json:"progress,omitempty"`
	// Attempts counts mover pods, the running one included.
	// +optional
	Attempts int32 `json:"attempts,omitempty"`
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
	// CompletionTime is when the data was complete.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// Conditions are Complete and Failed.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
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
