// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

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

// Sizing configures what happens when the data does not fit the claim.
type Sizing struct {
	// OveragePercent is added to the bytes of the inventory where a size is computed.
	// +optional
	// +kubebuilder:default=25
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	OveragePercent *int32 `json:"overagePercent,omitempty"`
	// OnTooSmall Fail ends the population and names the size that is enough; Grow provisions a
	// larger volume than the claim requests.
	// +optional
	// +kubebuilder:default=Fail
	// +kubebuilder:validation:Enum=Fail;Grow
	OnTooSmall OnTooSmall `json:"onTooSmall,omitempty"`
}

// Transfer tunes the copy from S3 to the volume.
type Transfer struct {
	// Engine is what transfers the objects: MC is the MinIO client, Native requests of the
	// mover's own, in ranges for large objects. Auto is Native.
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
	// included; the others wait as Queued. 0 is no cap for this source.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	MaxMovers int32 `json:"maxMovers,omitempty"`
}

// Mover configures a mover pod. The pod always satisfies the restricted Pod Security Standard
// unless podSecurityContext says otherwise.
type Mover struct {
	// Resources of the mover; the default requests 100m CPU and 64Mi and limits memory to 512Mi.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
	// NodeSelector of the mover pod.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// Tolerations of the mover pod.
	// +optional
	// +listType=atomic
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// Affinity of the mover pod.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
	// PriorityClassName of the mover pod.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`
	// ImagePullSecrets of the mover pod; they must be in the namespace of the claim.
	// +optional
	// +listType=atomic
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
	// ServiceAccountName of the mover pod where credentials name a Secret or are left out, for
	// image pull secrets and for policies that select pods by ServiceAccount. The mover gets no
	// token for the API server.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// Labels are added to the mover pod; those that the manager sets take precedence.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations are added to the mover pod; those that the manager sets take precedence.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// PodSecurityContext replaces the default one: non-root with the RuntimeDefault seccomp
	// profile, user and fsGroup 65532, or those of files, or those that OpenShift assigns. Of an
	// export: the user and groups of the pod that uses the claim, and never an fsGroup.
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

// Retries bounds the attempts of one population or of one export.
type Retries struct {
	// Limit of failed attempts in a row that made no progress, after the first; then an export is
	// failed for good, and a population until the source changes or the annotation
	// s3populator.io/retry on the claim does. Attempts that S3 throttled or could not be reached for do not count.
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
