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

// NonRoot is the user and group of the image: "nonroot" of the distroless images.
const NonRoot int64 = 65532

// Image of the movers and how it is pulled.
type Image struct {
	Name       string
	PullPolicy corev1.PullPolicy
}

// Spec is all that a mover pod is made from.
type Spec struct {
	Name, Namespace string
	// Owner controls the pod; nobody does where it is empty.
	Owner       metav1.OwnerReference
	Labels      map[string]string
	Annotations map[string]string
	Image       Image
	// Location has what is mounted to reach it: credentials and CA bundles.
	Location v1alpha1.S3Location
	Mover    v1alpha1.Mover
	Defaults Defaults
	Request  wire.Request
	// ClaimName is mounted and filled; empty where no volume is touched.
	ClaimName string
	// ReadOnly mounts the claim for reading. The kubelet then changes neither owners nor labels of its files.
	ReadOnly bool
	// Node that the pod must run on; empty leaves it to the scheduler.
	Node string
	// Together are labels of pods that must all run on one node, this one included; none leaves each its own.
	Together map[string]string
	// Deadline of the pod; zero is none.
	Deadline time.Duration
}

// New builds the pod. Its only error is a request that no process can be given; it names the
// field.
func New(s Spec) (*corev1.Pod, error) {
	s.Request.TLS.CAPEM = s.Defaults.CAPEM
	args, err := s.Request.EncodeArgs()
	if err != nil {
		return nil, err
	}
	pod := pod(s, args)
	addVolumes(&pod.Spec, s)
	return pod, nil
}

// pod is what movers and consumers have in common: where they run, and as whom.
func pod(s Spec, args []string) *corev1.Pod {
	m := merged(s.Mover, s.Defaults.Mover)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:      s.Name,
			Namespace: s.Namespace,
			Labels: merge(
				m.Labels,
				meshOffLabels(),
				s.Labels,
				map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelVeleroExclude: "true"},
			),
			Annotations:     merge(m.Annotations, stayAnnotations(), s.Annotations),
			OwnerReferences: owners(s.Owner),
		},
		Spec: corev1.PodSpec{
			RestartPolicy:                corev1.RestartPolicyNever,
			ActiveDeadlineSeconds:        deadline(s),
			ServiceAccountName:           serviceAccount(s.Location.Credentials, m),
			AutomountServiceAccountToken: new(false),
			EnableServiceLinks:           new(false),
			SecurityContext:              podSecurity(m.PodSecurityContext, s),
			NodeSelector:                 m.NodeSelector,
			Tolerations:                  m.Tolerations,
			Affinity:                     together(onNode(m.Affinity, s.Node), s.Together),
			PriorityClassName:            m.PriorityClassName,
			ImagePullSecrets:             m.ImagePullSecrets,
			Containers:                   []corev1.Container{container(s, m, args)},
		},
	}
}

func owners(owner metav1.OwnerReference) []metav1.OwnerReference {
	if owner.UID == "" {
		return nil
	}
	return []metav1.OwnerReference{owner}
}

func container(s Spec, m v1alpha1.Mover, args []string) corev1.Container {
	return corev1.Container{
		Name:                     ContainerName,
		Image:                    s.Image.Name,
		ImagePullPolicy:          s.Image.PullPolicy,
		Args:                     args,
		Env:                      environment(s, m),
		Resources:                resources(m.Resources),
		TerminationMessagePath:   wire.TerminationPath,
		TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}

// environment is that of the source and the installation, and what tells the movers of one claim apart. Ours is
// last, because the last of a name counts. The variable that tells a pod of a Job its shard is the Job controller's,
// which adds it only where there is none: with one of a user all pods would send the same shard.
func environment(s Spec, m v1alpha1.Mover) []corev1.EnvVar {
	own := slices.DeleteFunc(slices.Clone(m.Env), func(e corev1.EnvVar) bool { return e.Name == wire.ShardVariable })
	if s.ClaimName == "" {
		return own
	}
	return append(own, corev1.EnvVar{
		Name:      wire.PodUIDVariable,
		ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.uid"}},
	})
}

// deadline of one attempt in seconds, rounded up so that it is never zero.
func deadline(s Spec) *int64 {
	if s.Deadline <= 0 {
		return nil
	}
	return new(int64((s.Deadline + time.Second - 1) / time.Second))
}

// serviceAccount is the identity that S3 is shown, else the one that the pod is to have.
func serviceAccount(c *v1alpha1.Credentials, m v1alpha1.Mover) string {
	if c != nil && c.ServiceAccountName != "" {
		return c.ServiceAccountName
	}
	return m.ServiceAccountName
}

// podSecurity satisfies the restricted profile. A source may replace it whole: volumes
// whose driver ignores fsGroup need another user. The owners that a source wants for its files
// are those of the mover where that is allowed: nobody else may give files away.
func podSecurity(own *corev1.PodSecurityContext, s Spec) *corev1.PodSecurityContext {
	if own != nil {
		return own
	}
	c := &corev1.PodSecurityContext{
		RunAsNonRoot:        new(true),
		FSGroupChangePolicy: new(corev1.FSGroupChangeOnRootMismatch),
		SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if id := s.Defaults.RunAs; id > 0 {
		c.RunAsUser, c.RunAsGroup, c.FSGroup = new(id), new(id), new(id)
	}
	if uid := s.Request.Files.UID; uid != nil && *uid > 0 {
		c.RunAsUser = uid
	}
	if gid := s.Request.Files.GID; gid != nil && *gid > 0 {
		c.RunAsGroup, c.FSGroup = gid, gid
	}
	return c
}

// resources: measured, a mover with mc stays below 150Mi beside its page cache, which the
// limit only bounds; requests and a memory limit let it pass most quotas.
func resources(own *corev1.ResourceRequirements) corev1.ResourceRequirements {
	if own != nil {
		return *own
	}
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("100m"),
			corev1.ResourceMemory: resource.MustParse("64Mi"),
		},
		Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
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
