// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
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
//
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
	// which a bucket that is Requester Pays asks for.
	// +optional
	RequestPayer bool `json:"requestPayer,omitempty"`

	// Files says who owns what is written to a Filesystem volume, and with which modes.
	// +optional
	Files *Files `json:"files,omitempty"`

	// Sizing says what happens when the data does not fit.
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

	// Transfer tunes the copy.
	// +optional
	// +kubebuilder:default={}
	Transfer Transfer `json:"transfer,omitempty"`

	// Mover shapes the pods that read this source.
	// +optional
	// +kubebuilder:default={}
	Mover Mover `json:"mover,omitempty"`

	// Retries bounds what one claim may cost.
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

// S3Object is one object and its place in the volume.
type S3Object struct {
	// Key of the object; with spec.prefix, relative to it.
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

// Files says who owns the files and directories of the data, and their modes. The root of the
// volume stays as the platform made it. What is left out stays as it is written: owned by the
// mover's user and the volume's group (fsGroup), files 0664 and directories 0775.
type Files struct {
	// UID owns files and directories. Unless mover.podSecurityContext is set, the mover runs as
	// this user; otherwise it must be able to give files away, or be this user.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	UID *int64 `json:"uid,omitempty"`
	// GID is the group of files and directories. Unless mover.podSecurityContext is set, it is
	// the fsGroup of the mover; otherwise the mover must be in that group. A pod that uses the
	// volume with an fsGroup of its own may make the kubelet change it.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	GID *int64 `json:"gid,omitempty"`
	// Mode of files, such as 0640 in YAML or 416 in JSON.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=511
	// +kubebuilder:validation:XValidation:rule="self / 64 >= 4",message="mode: the owner must be able to read (0400), or the next attempt could not verify; such as 0440 or 0640"
	Mode *int32 `json:"mode,omitempty"`
	// DirectoryMode is the mode of directories, such as 0750 in YAML or 488 in JSON. The setgid
	// bit of a volume with an fsGroup is kept.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=511
	// +kubebuilder:validation:XValidation:rule="self / 64 == 7",message="directoryMode: the owner must be able to read, write and enter (0700), or the next attempt could not go on; such as 0750"
	DirectoryMode *int32 `json:"directoryMode,omitempty"`
}

// Sizing says how the data and the size of a claim are brought together.
type Sizing struct {
	// OveragePercent is added to the bytes of the inventory where a size is computed.
	// +optional
	// +kubebuilder:default=25
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	OveragePercent *int32 `json:"overagePercent,omitempty"`
	// OnTooSmall Fail ends with both numbers; Grow asks for a larger volume than the claim.
	// +optional
	// +kubebuilder:default=Fail
	// +kubebuilder:validation:Enum=Fail;Grow
	OnTooSmall OnTooSmall `json:"onTooSmall,omitempty"`
}

// Transfer tunes the copy from S3 to the volume.
//
// +kubebuilder:validation:XValidation:rule="!has(self.engine) || self.engine != 'Native'",message="engine: Native does not exist yet; use Auto, which takes it once it does, or MC"
type Transfer struct {
	// Engine that moves the bytes. Auto is the best one of this version, today MC. Native is
	// refused until it exists.
	// +optional
	// +kubebuilder:default=Auto
	// +kubebuilder:validation:Enum=Auto;MC;Native
	Engine Engine `json:"engine,omitempty"`
	// Parallelism caps the objects in flight; 0 leaves it to the engine.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=256
	Parallelism int32 `json:"parallelism,omitempty"`
	// Bandwidth caps the bytes per second of one mover, such as 100Mi; empty is no cap.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self == '' || (isQuantity(self) && quantity(self).compareTo(quantity('64Ki')) >= 0)",message="bandwidth: bytes per second as a quantity of at least 64Ki, such as 100Mi"
	Bandwidth string `json:"bandwidth,omitempty"`
	// Verify Checksum compares every byte where S3 gives a checksum, and sizes everywhere;
	// Size compares paths and sizes only.
	// +optional
	// +kubebuilder:default=Checksum
	// +kubebuilder:validation:Enum=Checksum;Size
	Verify Verify `json:"verify,omitempty"`
	// MaxMovers caps the movers of this source that run at the same time, inventories
	// included; the others wait as Queued. 0 is no cap of the source's own.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	MaxMovers int32 `json:"maxMovers,omitempty"`
}

// Mover shapes a mover pod. The pod always satisfies the restricted Pod Security Standard
// unless podSecurityContext says otherwise.
type Mover struct {
	// Resources of the mover; the default requests 100m CPU and 64Mi and limits memory to 512Mi.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// +optional
	// +listType=atomic
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`
	// +optional
	// +listType=atomic
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
	// ServiceAccountName of the mover where credentials name a Secret or nothing: for pull
	// secrets and policies that go by it. The mover uses no rights of it.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// Labels and annotations are added to the mover pod; ours win.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// PodSecurityContext replaces the default one: non-root with the RuntimeDefault seccomp
	// profile, user and fsGroup 65532, or those of files, or those that OpenShift assigns.
	// +optional
	PodSecurityContext *corev1.PodSecurityContext `json:"podSecurityContext,omitempty"`
	// Env is added to the mover, for example HTTPS_PROXY. Credentials do not belong here.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(e, !(e.name in ['AWS_SECRET_ACCESS_KEY', 'AWS_ACCESS_KEY_ID', 'AWS_SESSION_TOKEN']))",message="env: credentials in a pod's environment can be read by everyone who may read pods; put them into a Secret and name it in credentials.secretRef"
	Env []corev1.EnvVar `json:"env,omitempty"`
}

// Retries bounds what one population may cost.
type Retries struct {
	// Limit of failed attempts; then the population is failed until the source changes or
	// the annotation s3populator.io/retry on the claim does.
	// +optional
	// +kubebuilder:default=6
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Limit *int32 `json:"limit,omitempty"`
	// AttemptTimeout ends an attempt that takes longer. The next one keeps what is verified.
	// +optional
	// +kubebuilder:default="24h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s')",message="attemptTimeout: at least 10s"
	AttemptTimeout *metav1.Duration `json:"attemptTimeout,omitempty"`
}

// S3SourceStatus is what the manager observed.
type S3SourceStatus struct {
	// ObservedGeneration is the generation of the source that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Inventory is what the source held when it was last listed.
	// +optional
	Inventory *Inventory `json:"inventory,omitempty"`
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

// Inventory of a source, after its filters.
type Inventory struct {
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
	// Digest is sha256 over the sorted lines "path\tsize\tetag"; equal content, equal digest.
	Digest string `json:"digest"`
	// UnsafeKeys counts keys that no volume can hold.
	// +optional
	UnsafeKeys int64       `json:"unsafeKeys,omitempty"`
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
