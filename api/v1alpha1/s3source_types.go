// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// S3Source says which objects of an S3 bucket a volume is filled with. A claim names it in
// spec.dataSourceRef and stays Pending until its volume holds all of them, verified.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=s3src,categories=s3populator
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Bucket",type=string,JSONPath=`.spec.bucket`
// +kubebuilder:printcolumn:name="Prefix",type=string,JSONPath=`.spec.prefix`
// +kubebuilder:printcolumn:name="Objects",type=integer,JSONPath=`.status.inventory.objects`
// +kubebuilder:printcolumn:name="Bytes",type=integer,JSONPath=`.status.inventory.bytes`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type S3Source struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec S3SourceSpec `json:"spec"`
	// +optional
	Status S3SourceStatus `json:"status,omitempty"`
}

// S3SourceList is a list of S3Source.
//
// +kubebuilder:object:root=true
type S3SourceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []S3Source `json:"items"`
}

// S3SourceSpec is what a user decides.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.objects) && size(self.objects) > 0) || !has(self.prefix) || size(self.prefix) == 0",message="prefix: remove it or remove objects, which names each object by its whole key"
// +kubebuilder:validation:XValidation:rule="!(has(self.objects) && size(self.objects) > 0) || (!has(self.include) && !has(self.exclude))",message="include and exclude select from a prefix; remove them or remove objects, which already names each object"
// +kubebuilder:validation:XValidation:rule="!has(self.fromExport) || !(has(self.prefix) && size(self.prefix) > 0) && !(has(self.objects) && size(self.objects) > 0) && (!has(self.prefixMode) || self.prefixMode == 'Directory')",message="fromExport: the export says which prefix is read; remove prefix, prefixMode and objects, or fromExport"
// +kubebuilder:validation:XValidation:rule="!has(self.fromExport) || !has(self.fromExport.run) || !has(self.fromExport.before)",message="fromExport.run: remove it or before; a run that is named needs no time"
//
// +kubebuilder:validation:XValidation:rule="!has(self.restoreAttributes) || !self.restoreAttributes || (!(has(self.objects) && size(self.objects) > 0) && !has(self.files) && (!has(self.prefixMode) || self.prefixMode == 'Directory'))",message="restoreAttributes: remove it, or remove objects, files and prefixMode: what is restored is an export below prefix, and the export says which modes its files have"
// +kubebuilder:validation:XValidation:rule="!has(self.mover) || !has(self.mover.serviceAccountName) || !has(self.credentials) || !has(self.credentials.serviceAccountName)",message="mover.serviceAccountName: remove it; the pod runs as credentials.serviceAccountName"
type S3SourceSpec struct {
	S3Location `json:",inline"`

	// Prefix selects the objects below it and is cut off their paths. It is a directory:
	// "imagenet" and "imagenet/" select the same and neither selects "imagenet2/".
	// Empty selects the whole bucket.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/')",message="prefix: keys in S3 do not begin with '/'; remove it"
	Prefix string `json:"prefix,omitempty"`

	// FromExport names a complete S3Export of this namespace, in the bucket of this source, whose prefix is read. The
	// run is chosen once, when there is one, and told in status.fromExport; it stays until fromExport is changed.
	// +optional
	FromExport *FromExport `json:"fromExport,omitempty"`

	// PrefixMode Literal takes the prefix as it is, so that "imagenet" selects "imagenet2/" too.
	// +optional
	// +kubebuilder:default=Directory
	// +kubebuilder:validation:Enum=Directory;Literal
	PrefixMode PrefixMode `json:"prefixMode,omitempty"`

	// Objects selects exactly these objects instead of all below the prefix. A Block
	// volume takes exactly one.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +kubebuilder:validation:MaxItems=1000
	Objects []S3Object `json:"objects,omitempty"`

	// Include keeps only paths below the prefix that match one of these globs, such as "**/*.jpg".
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Include []string `json:"include,omitempty"`

	// Exclude leaves out paths below the prefix that match one of these globs; it wins over include.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Exclude []string `json:"exclude,omitempty"`

	// TargetPath is the directory inside the volume that receives the data; empty is its root.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self == '' || !self.matches('(^|/)[.]{0,2}(/|$)')",message="targetPath: a relative path without '.', '..' or empty parts, such as models/beta"
	TargetPath string `json:"targetPath,omitempty"`

	// RequestPayer accepts that the owner of these credentials pays for requests and traffic,
	// which a Requester Pays bucket requires.
	// +optional
	RequestPayer bool `json:"requestPayer,omitempty"`

	// Files sets owners and modes of the files and directories on a Filesystem volume.
	// +optional
	Files *Files `json:"files,omitempty"`

	// RestoreAttributes restores what an S3Export kept besides the content of files: modes, times,
	// symbolic links, empty directories and extended attributes, and owners where the mover may
	// change them. Prefix is then that of a complete export; without its manifest nothing is loaded.
	// +optional
	RestoreAttributes bool `json:"restoreAttributes,omitempty"`

	// Sizing configures what happens when the data does not fit.
	// +optional
	// +kubebuilder:default={}
	Sizing Sizing `json:"sizing,omitempty"`

	// OnEmpty Fail refuses to bind an empty volume when nothing is selected; Allow binds it.
	// +optional
	// +kubebuilder:default=Fail
	// +kubebuilder:validation:Enum=Fail;Allow
	OnEmpty OnEmpty `json:"onEmpty,omitempty"`

	// UnsafeKeys are keys that no file system can hold or that would leave the volume
	// ("../x", "/abs", "a" beside "a/b", a 300-byte name). Fail refuses them, Skip leaves
	// them out and counts them.
	// +optional
	// +kubebuilder:default=Fail
	// +kubebuilder:validation:Enum=Fail;Skip
	UnsafeKeys UnsafeKeys `json:"unsafeKeys,omitempty"`

	// Transfer configures the copy from S3 to the volume.
	// +optional
	// +kubebuilder:default={}
	Transfer Transfer `json:"transfer,omitempty"`

	// Mover configures the pods that read this source.
	// +optional
	// +kubebuilder:default={}
	Mover Mover `json:"mover,omitempty"`

	// Retries bounds the attempts for one claim.
	// +optional
	// +kubebuilder:default={}
	Retries Retries `json:"retries,omitempty"`

	// RefreshInterval takes a new inventory this often; 0 (the default) only after a change
	// of the spec or of the annotation s3populator.io/refresh.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration('0s') || duration(self) >= duration('10s')",message="refreshInterval: 0 or at least 10s"
	RefreshInterval *metav1.Duration `json:"refreshInterval,omitempty"`

	// ClaimSelector fills every new claim of this namespace whose labels match, unless the claim
	// has a data source already. It works in namespaces labelled s3populator.io/injection=enabled or =required.
	// Two sources must not match the same claim. Empty ({}) matches every claim.
	// +optional
	ClaimSelector *metav1.LabelSelector `json:"claimSelector,omitempty"`
}

// FromExport names a run of a claim: by its name, or the latest that was complete before a time, or the latest.
type FromExport struct {
	// Claim that was exported. It need not be there any more.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Claim string `json:"claim"`
	// Run is the name of the S3Export.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Run string `json:"run,omitempty"`
	// Before is the time before which the run has to be complete; the latest of those is read. Runs of a part of the
	// volume do not count.
	// +optional
	Before *metav1.Time `json:"before,omitempty"`
}

// S3Object is one object and its place in the volume.
type S3Object struct {
	// Key of the object, whole.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Key string `json:"key"`
	// Path of the file below spec.targetPath; empty takes the key.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self == '' || !self.matches('(^|/)[.]{0,2}(/|$)')",message="path: a relative path without '.', '..' or empty parts, such as weights/model.bin"
	Path string `json:"path,omitempty"`
	// VersionID selects one version of the object, in a bucket that keeps versions; without it
	// the current one is taken.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	VersionID string `json:"versionId,omitempty"`
}

// S3SourceStatus is what the manager observed.
type S3SourceStatus struct {
	// ObservedGeneration is the generation of the source that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions has one condition, Ready: whether the source could be listed.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Inventory is what the source held when it was last listed.
	// +optional
	Inventory *Inventory `json:"inventory,omitempty"`
	// FromExport is the run that spec.fromExport was found to name.
	// +optional
	FromExport *SourceExport `json:"fromExport,omitempty"`
	// ObservedRefresh is the value of the annotation s3populator.io/refresh that was acted on.
	// +optional
	ObservedRefresh string `json:"observedRefresh,omitempty"`
	// Failures counts the listings that failed in a row.
	// +optional
	Failures int32 `json:"failures,omitempty"`
	// NextInventoryTime is when the source is listed again by itself; absent: only after a
	// change of the spec or of the annotation s3populator.io/refresh.
	// +optional
	NextInventoryTime *metav1.Time `json:"nextInventoryTime,omitempty"`
}

// SourceExport is a run that a source reads.
type SourceExport struct {
	// Asked is spec.fromExport as it was then.
	Asked FromExport `json:"asked"`
	// Name of the S3Export.
	Name string `json:"name"`
	// UID of the S3Export.
	UID string `json:"uid"`
	// Prefix of its objects.
	Prefix string `json:"prefix"`
	// CompletionTime of the run.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// ManifestDigest is the digest that a population of the prefix will show.
	// +optional
	ManifestDigest string `json:"manifestDigest,omitempty"`
}

// Inventory of a source, after its filters.
type Inventory struct {
	// Objects that are selected.
	Objects int64 `json:"objects"`
	// Bytes of those objects.
	Bytes int64 `json:"bytes"`
	// Digest is sha256 over the sorted lines "path\tsize\tetag"; equal content, equal digest.
	Digest string `json:"digest"`
	// UnsafeKeys counts keys that no volume can hold.
	// +optional
	UnsafeKeys int64 `json:"unsafeKeys,omitempty"`
	// ObservedAt is when the listing ended.
	ObservedAt metav1.Time `json:"observedAt"`
	// ObservedGeneration is the generation of the source that was listed.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// Enumerations of S3SourceSpec.
type (
	// PrefixMode is Directory or Literal.
	PrefixMode string
	// OnEmpty is Fail or Allow.
	OnEmpty string
	// UnsafeKeys is Fail or Skip.
	UnsafeKeys string
	// OnTooSmall is Fail or Grow.
	OnTooSmall string
	// Engine is Auto, MC or Native.
	Engine string
	// Verify is Checksum or Size.
	Verify string
)

// Values of OnTooSmall.
const (
	TooSmallFail OnTooSmall = "Fail"
	TooSmallGrow OnTooSmall = "Grow"
)
