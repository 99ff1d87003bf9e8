// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// S3Export sends what is on a claim's volume to an S3 bucket, one object per file. It is one
// run, like a Job: it ends Complete or Failed, and another run is another S3Export. The
// volume is only read, and may be in use meanwhile.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=s3exp,categories=s3populator
// +kubebuilder:printcolumn:name="Claim",type=string,JSONPath=`.spec.claimName`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="%",type=integer,JSONPath=`.status.progress.percent`
// +kubebuilder:printcolumn:name="Objects",type=string,JSONPath=`.status.progress.objects.text`
// +kubebuilder:printcolumn:name="Bytes",type=string,JSONPath=`.status.progress.bytes.text`
// +kubebuilder:printcolumn:name="Rate",type=string,JSONPath=`.status.progress.rate`
// +kubebuilder:printcolumn:name="ETA",type=string,JSONPath=`.status.progress.eta`
// +kubebuilder:printcolumn:name="Location",type=string,JSONPath=`.status.location`
// +kubebuilder:printcolumn:name="Attempts",type=integer,JSONPath=`.status.attempts`,priority=1
// +kubebuilder:printcolumn:name="Digest",type=string,JSONPath=`.status.manifestDigest`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type S3Export struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec S3ExportSpec `json:"spec"`
	// +optional
	Status S3ExportStatus `json:"status,omitempty"`
}

// S3ExportList is a list of S3Export.
//
// +kubebuilder:object:root=true
type S3ExportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []S3Export `json:"items"`
}

// S3ExportSpec is one run. What is exported, and where to, cannot be changed. What only steers
// the run can: suspend, ttlSecondsAfterFinished, transfer, mover and retries.
//
// +kubebuilder:validation:XValidation:rule="has(self.path) == has(oldSelf.path) && (!has(self.path) || self.path == oldSelf.path)",message="path: an export is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="has(self.include) == has(oldSelf.include) && (!has(self.include) || self.include == oldSelf.include)",message="include: an export is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="has(self.exclude) == has(oldSelf.exclude) && (!has(self.exclude) || self.exclude == oldSelf.exclude)",message="exclude: an export is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="has(self.storageClass) == has(oldSelf.storageClass) && (!has(self.storageClass) || self.storageClass == oldSelf.storageClass)",message="storageClass: an export is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="has(self.serverSideEncryption) == has(oldSelf.serverSideEncryption) && (!has(self.serverSideEncryption) || self.serverSideEncryption == oldSelf.serverSideEncryption)",message="serverSideEncryption: an export is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="has(self.tags) == has(oldSelf.tags) && (!has(self.tags) || self.tags == oldSelf.tags)",message="tags: an export is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="has(self.deleteExtra) == has(oldSelf.deleteExtra) && (!has(self.deleteExtra) || self.deleteExtra == oldSelf.deleteExtra)",message="deleteExtra: an export is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="has(self.dryRun) == has(oldSelf.dryRun) && (!has(self.dryRun) || self.dryRun == oldSelf.dryRun)",message="dryRun: an export is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="has(self.volumeSnapshotClassName) == has(oldSelf.volumeSnapshotClassName) && (!has(self.volumeSnapshotClassName) || self.volumeSnapshotClassName == oldSelf.volumeSnapshotClassName)",message="volumeSnapshotClassName: an export is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",message="storageClassName: an export is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="self.parallelism == oldSelf.parallelism",message="parallelism: an export is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="self.consistency == oldSelf.consistency",message="consistency: an export is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="self.destination == oldSelf.destination",message="destination: an export is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="self.unsafePaths == oldSelf.unsafePaths",message="unsafePaths: an export is one run and cannot be changed; make a new one"
// +kubebuilder:validation:XValidation:rule="self.onExisting == oldSelf.onExisting",message="onExisting: an export is one run and cannot be changed; make a new one"
type S3ExportSpec struct {
	// ClaimName is a PersistentVolumeClaim of this namespace, Bound, with volumeMode Filesystem.
	// Until it is both there and Bound, the export waits; one that was made for a claim that is gone fails.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="claimName: an export is one run and cannot be changed; make a new one"
	ClaimName string `json:"claimName"`

	// Suspend ends the mover and starts none until it is false again. What is sent stays, and
	// so do the parts of uploads that are not complete: the run goes on where it was. To end a
	// run for good, delete it.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	S3ExportTemplate `json:",inline"`
}

// S3ExportTemplate says what of a volume is exported, where to, and how.
//
// +kubebuilder:validation:XValidation:rule="!has(self.destination.key) || (has(self.path) && size(self.path) > 0)",message="destination.key: takes one file; name it in path, or export a directory to destination.prefix"
// +kubebuilder:validation:XValidation:rule="!has(self.destination.key) || !has(self.deleteExtra) || !self.deleteExtra",message="deleteExtra: only below destination.prefix; remove it or destination.key"
// +kubebuilder:validation:XValidation:rule="!has(self.mover) || !has(self.mover.podSecurityContext) || !has(self.mover.podSecurityContext.fsGroup)",message="mover.podSecurityContext.fsGroup: remove it; the kubelet would change the group of every file of the volume. Name the group in supplementalGroups instead"
// +kubebuilder:validation:XValidation:rule="!has(self.volumeSnapshotClassName) || self.consistency == 'Snapshot'",message="volumeSnapshotClassName: only with consistency Snapshot; remove it or set consistency: Snapshot"
// +kubebuilder:validation:XValidation:rule="!has(self.storageClassName) || self.consistency != 'Live'",message="storageClassName: of the temporary claim of consistency Snapshot or Clone; remove it or set one of these. The storage class of objects is storageClass"
// +kubebuilder:validation:XValidation:rule="!has(self.mover) || !has(self.mover.serviceAccountName) || !has(self.destination.credentials) || !has(self.destination.credentials.serviceAccountName)",message="mover.serviceAccountName: remove it; the pod runs as destination.credentials.serviceAccountName"
type S3ExportTemplate struct {
	// Path is the directory, or the one regular file, inside the volume that is exported; empty
	// is all of the volume. Links are not followed.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self == '' || !self.matches('(^|/)[.]{0,2}(/|$)')",message="path: a relative path without '.', '..' or empty parts, such as models/beta"
	Path string `json:"path,omitempty"`

	// Include keeps only paths below spec.path that match one of these globs, such as "**/*.ckpt".
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Include []string `json:"include,omitempty"`

	// Exclude leaves out paths below spec.path that match one of these globs; it wins over include.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Exclude []string `json:"exclude,omitempty"`

	// Destination is where the objects go.
	// +required
	Destination ExportDestination `json:"destination"`

	// StorageClass of the objects, such as STANDARD_IA; empty leaves it to the bucket.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_-]*$')",message="storageClass: letters, digits, '_' and '-' only, such as STANDARD_IA"
	StorageClass string `json:"storageClass,omitempty"`

	// ServerSideEncryption is what S3 is asked to encrypt the objects with; without it, that is
	// left to the bucket.
	// +optional
	ServerSideEncryption *ServerSideEncryption `json:"serverSideEncryption,omitempty"`

	// Tags of the objects. S3 allows ten.
	// +optional
	// +kubebuilder:validation:MaxProperties=10
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) >= 1 && size(k) <= 128 && size(self[k]) <= 256)",message="tags: names have 1 to 128 characters and values at most 256"
	Tags map[string]string `json:"tags,omitempty"`

	// Consistency Live reads the volume as it is, also while pods write to it: a file that changes
	// while it is read is read again, and counted in status.changedFiles if it changes again. Snapshot
	// takes a VolumeSnapshot of the claim and reads a temporary claim made from it: all files are of one
	// moment. Clone reads a temporary claim that the CSI driver makes from the claim itself. Both are
	// removed when the run is over, suspended or deleted.
	// +optional
	// +kubebuilder:default=Live
	// +kubebuilder:validation:Enum=Live;Snapshot;Clone
	Consistency Consistency `json:"consistency,omitempty"`

	// VolumeSnapshotClassName for consistency Snapshot; without it, the default class of the volume's
	// CSI driver. Its deletionPolicy must be Delete: else every run would leave a snapshot behind.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$')",message="volumeSnapshotClassName: the name of a VolumeSnapshotClass, such as csi-snapshots"
	VolumeSnapshotClassName string `json:"volumeSnapshotClassName,omitempty"`

	// StorageClassName of the temporary claim for consistency Snapshot or Clone; without it, the class of
	// the claim. It must be of the same CSI driver and have the reclaimPolicy Delete: else every run would
	// leave a volume behind. It is not the storageClass of the objects.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$')",message="storageClassName: the name of a StorageClass, such as fast; the storage class of objects, such as STANDARD_IA, is storageClass"
	StorageClassName string `json:"storageClassName,omitempty"`

	// Parallelism is how many pods send files at a time. 1 is one pod, which does everything. With more,
	// a pod scans the volume and makes a plan of up to four times as many shards, a Job sends these, so many
	// at a time, and a last pod completes the export. What is too little work for two pods is sent by the
	// first one, and so is a dry run and an export to one key. All pods of a volume that only one node can
	// mount run on that node.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	Parallelism int32 `json:"parallelism,omitempty"`

	// UnsafePaths are paths that cannot be keys: names that are not UTF-8, or too long. Fail
	// refuses them before anything is sent, Skip leaves them out and counts them.
	// +optional
	// +kubebuilder:default=Fail
	// +kubebuilder:validation:Enum=Fail;Skip
	UnsafePaths UnsafePaths `json:"unsafePaths,omitempty"`

	// OnExisting is about objects that are there already: SkipIdentical sends only what differs,
	// Overwrite sends everything, Fail ends the export before anything is sent.
	// +optional
	// +kubebuilder:default=SkipIdentical
	// +kubebuilder:validation:Enum=SkipIdentical;Overwrite;Fail
	OnExisting OnExisting `json:"onExisting,omitempty"`

	// DeleteExtra removes objects below the prefix whose files are gone, if the last complete export there was of this
	// claim and path and has made them. All others stay: those of other claims and paths, those that somebody has written
	// since, also after this export has listed them, and those that include and exclude leave out. With or without this
	// field, a run that finds no file fails with SourceEmpty where the last export there has some, whoever made it;
	// nothing is removed then. Where directories changed each time that they were looked at, only what is in the way of a
	// file or directory is removed.
	// +optional
	DeleteExtra bool `json:"deleteExtra,omitempty"`

	// DryRun reports what would be sent, copied and deleted, and writes nothing to S3.
	// +optional
	DryRun bool `json:"dryRun,omitempty"`

	// TTLSecondsAfterFinished deletes the S3Export so long after it ended; what it has exported
	// stays. Without it, the S3Export stays until somebody deletes it. The last one of a claim that had
	// files stays while a later one is there that found none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`

	// Transfer tunes the copy from the volume to S3.
	// +optional
	// +kubebuilder:default={}
	Transfer ExportTransfer `json:"transfer,omitempty"`

	// Mover configures the pod that reads the volume. It runs as the user and the groups of the
	// pod that uses the claim, unless podSecurityContext says as whom.
	// +optional
	// +kubebuilder:default={}
	Mover Mover `json:"mover,omitempty"`

	// Retries bounds the attempts. An export whose attempts are used up is Failed.
	// +optional
	// +kubebuilder:default={}
	Retries Retries `json:"retries,omitempty"`
}

// ExportDestination is a place in S3.
//
// +kubebuilder:validation:XValidation:rule="!has(self.key) || !has(self.prefix)",message="destination: set prefix for a directory or key for one file, not both"
type ExportDestination struct {
	S3Location `json:",inline"`

	// Prefix of the objects, a directory. {{.Namespace}}, {{.Claim}}, {{.Run}} (the UID of the
	// S3Export) and {{.Date}} (when it was made, in UTC, such as 2026-01-31) are replaced. Without
	// prefix and key it is {{.Namespace}}/{{.Claim}}/{{.Run}}/, so that each run has its own. A
	// prefix without {{.Run}} is used by run after run: only the newest can be restored.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^([^{}]|[{][{][.](Namespace|Claim|Run|Date)[}][}])*$')",message="prefix: only {{.Namespace}}, {{.Claim}}, {{.Run}} and {{.Date}} are replaced; remove other braces"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.contains('//') && !self.matches('(^|/)[.]{1,2}(/|$)')",message="prefix: a directory without '.', '..' or empty parts, and not beginning with '/', such as backups/{{.Claim}}/{{.Run}}/"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(^|/)[.]s3populator(/|$)')",message="prefix: .s3populator is where exports keep their manifests; choose another name"
	Prefix string `json:"prefix,omitempty"`

	// Key is the whole key of the one object that a single file is exported to.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=700
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.endsWith('/') && !self.contains('//') && !self.matches('(^|/)[.]{1,2}(/|$)')",message="key: a file without '.', '..' or empty parts, and neither beginning nor ending with '/', such as models/beta.bin"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(^|/)[.]s3populator(/|$)')",message="key: .s3populator is where exports keep their manifests; choose another name"
	Key string `json:"key,omitempty"`
}

// ServerSideEncryption names what S3 encrypts with.
//
// +kubebuilder:validation:XValidation:rule="!has(self.kmsKeyID) || self.type == 'KMS'",message="serverSideEncryption.kmsKeyID: only with type KMS; remove it or set type: KMS"
type ServerSideEncryption struct {
	// Type is AES256 for keys of S3 (SSE-S3) or KMS for keys of a key management service (SSE-KMS).
	// +required
	// +kubebuilder:validation:Enum=AES256;KMS
	Type EncryptionType `json:"type"`
	// KMSKeyID for KMS; without it the default key of the account is used.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	KMSKeyID string `json:"kmsKeyID,omitempty"`
}

// ExportTransfer tunes the copy from the volume to S3.
type ExportTransfer struct {
	// Parallelism caps the files in flight; 0 leaves it to the mover.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=256
	Parallelism int32 `json:"parallelism,omitempty"`
	// Bandwidth caps the bytes per second of the mover, such as 100Mi; empty is no cap.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self == '' || (isQuantity(self) && quantity(self).compareTo(quantity('64Ki')) >= 0)",message="bandwidth: bytes per second as a quantity of at least 64Ki, such as 100Mi"
	Bandwidth string `json:"bandwidth,omitempty"`
}

// The values of UnsafePaths.
const (
	UnsafePathsFail UnsafePaths = "Fail"
	UnsafePathsSkip UnsafePaths = "Skip"
)

// Enumerations of S3ExportSpec.
type (
	// Consistency is Live, Snapshot or Clone.
	Consistency string
	// UnsafePaths is Fail or Skip.
	UnsafePaths string
	// OnExisting is SkipIdentical, Overwrite or Fail.
	OnExisting string
	// EncryptionType is AES256 or KMS.
	EncryptionType string
)

// Values of Consistency.
const (
	// ConsistencyLive reads the volume in use.
	ConsistencyLive Consistency = "Live"
	// ConsistencySnapshot reads a temporary claim made from a VolumeSnapshot.
	ConsistencySnapshot Consistency = "Snapshot"
	// ConsistencyClone reads a temporary claim made from the claim.
	ConsistencyClone Consistency = "Clone"
)
