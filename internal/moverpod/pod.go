// SPDX-License-Identifier: Apache-2.0

package moverpod

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// ContainerName is the container whose end decides; injected sidecars do not.
const ContainerName = "mover"

// nonRoot is the user and group of the mover: "nonroot" of the distroless images.
const nonRoot int64 = 65532

// Image of the movers and how it is pulled.
type Image struct {
	Name       string
	PullPolicy corev1.PullPolicy
}

// Spec is all that a mover pod is made from.
type Spec struct {
	Name, Namespace string
	Owner           metav1.OwnerReference
	Labels          map[string]string
	Annotations     map[string]string
	Image           Image
	Source          v1alpha1.S3SourceSpec
	Request         wire.Request
	// ClaimName is mounted and filled; empty for an inventory.
	ClaimName string
	// Deadline of the pod; zero takes that of the source.
	Deadline time.Duration
}

// New builds the pod. Its only error is a request that no process can be given; it names the
// field.
func New(s Spec) (*corev1.Pod, error) {
	args, err := s.Request.EncodeArgs()
	if err != nil {
		return nil, err
	}
	m := s.Source.Mover
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:            s.Name,
			Namespace:       s.Namespace,
			Labels:          merge(m.Labels, meshOffLabels(), s.Labels, map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelVeleroExclude: "true"}),
			Annotations:     merge(m.Annotations, stayAnnotations(), s.Annotations),
			OwnerReferences: []metav1.OwnerReference{s.Owner},
		},
		Spec: corev1.PodSpec{
			RestartPolicy:                corev1.RestartPolicyNever,
			ActiveDeadlineSeconds:        deadline(s),
			ServiceAccountName:           serviceAccount(s.Source.Credentials),
			AutomountServiceAccountToken: new(false),
			EnableServiceLinks:           new(false),
			SecurityContext:              podSecurity(m.PodSecurityContext),
			NodeSelector:                 m.NodeSelector,
			Tolerations:                  m.Tolerations,
			Affinity:                     m.Affinity,
			PriorityClassName:            m.PriorityClassName,
			ImagePullSecrets:             m.ImagePullSecrets,
			Containers:                   []corev1.Container{container(s, args)},
		},
	}
	addVolumes(&pod.Spec, s)
	return pod, nil
}

func container(s Spec, args []string) corev1.Container {
	return corev1.Container{
		Name:                     ContainerName,
		Image:                    s.Image.Name,
		ImagePullPolicy:          s.Image.PullPolicy,
		Args:                     args,
		Env:                      environment(s),
		Resources:                resources(s.Source.Mover.Resources),
		TerminationMessagePath:   wire.TerminationPath,
		TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}

// environment is that of the source, and what tells the movers of one claim apart. Ours is
// last, because the last of a name counts.
func environment(s Spec) []corev1.EnvVar {
	if s.ClaimName == "" {
		return s.Source.Mover.Env
	}
	return append(slices.Clip(s.Source.Mover.Env), corev1.EnvVar{
		Name:      wire.PodUIDVariable,
		ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.uid"}},
	})
}

// deadline of one attempt in seconds, rounded up so that it is never zero.
func deadline(s Spec) *int64 {
	d := s.Deadline
	if d == 0 && s.Source.Retries.AttemptTimeout != nil {
		d = s.Source.Retries.AttemptTimeout.Duration
	}
	if d <= 0 {
		return nil
	}
	return new(int64((d + time.Second - 1) / time.Second))
}

func serviceAccount(c *v1alpha1.Credentials) string {
	if c == nil {
		return ""
	}
	return c.ServiceAccountName
}

// podSecurity satisfies the restricted profile. A source may replace it whole: volumes
// whose driver ignores fsGroup need another user.
func podSecurity(own *corev1.PodSecurityContext) *corev1.PodSecurityContext {
	if own != nil {
		return own
	}
	return &corev1.PodSecurityContext{
		RunAsNonRoot:        new(true),
		RunAsUser:           new(nonRoot),
		RunAsGroup:          new(nonRoot),
		FSGroup:             new(nonRoot),
		FSGroupChangePolicy: new(corev1.FSGroupChangeOnRootMismatch),
		SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

// resources: measured, a mover with mc stays below 150Mi beside its page cache, which the
// limit only bounds; requests and a memory limit let it pass most quotas.
func resources(own *corev1.ResourceRequirements) corev1.ResourceRequirements {
	if own != nil {
		return *own
	}
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
	}
}

// meshOffLabels keep service meshes out: a sidecar never ends, and a captured
// connection breaks S3 signatures and certificates.
func meshOffLabels() map[string]string {
	return map[string]string{
		"sidecar.istio.io/inject": "false",
		"istio.io/dataplane-mode": "none",
	}
}

// stayAnnotations ask autoscalers to let a transfer end, and Linkerd to stay out.
func stayAnnotations() map[string]string {
	return map[string]string{
		"cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
		"karpenter.sh/do-not-disrupt":                    "true",
		"linkerd.io/inject":                              "disabled",
	}
}

// merge copies the maps into a new one; later ones win.
func merge(all ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}
