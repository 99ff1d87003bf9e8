// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/cluster/image"
)

// Where a consumer sees its volume.
const (
	MountPath  = "/data"
	devicePath = "/dev/data"
)

// consumerUser and consumerGroup are not the mover's: the files must be of use to others.
const (
	consumerUser  int64 = 1000
	consumerGroup int64 = 2000
)

// PodSpec is a consumer of a claim that runs the probe, as strict as pod security asks.
func PodSpec(claim string, block, readOnly bool, args ...string) corev1.PodSpec {
	c := corev1.Container{
		Name: "probe", Image: image.Name("probe"), ImagePullPolicy: corev1.PullNever, Args: args,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
	if block {
		c.VolumeDevices = []corev1.VolumeDevice{{Name: "data", DevicePath: devicePath}}
	} else {
		c.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: MountPath}}
	}
	return corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: new(false),
		TerminationGracePeriodSeconds: new(int64(1)),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(consumerUser), RunAsGroup: new(consumerGroup), FSGroup: new(consumerGroup),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{c},
		Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim, ReadOnly: readOnly},
		}}},
	}
}

// Reader makes a pod that lists a claim's volume when it can run, which for a class that
// waits for a consumer is what starts everything.
func (s *Story) Reader(claim *corev1.PersistentVolumeClaim) *corev1.Pod {
	s.T.Helper()
	readOnly := slices.Equal(claim.Spec.AccessModes, []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany})
	return s.pod("read-"+claim.Name, PodSpec(claim.Name, false, readOnly, "sha256", MountPath))
}

// pod makes a pod, if need be when the last one of its name, which was deleted, is gone.
func (s *Story) pod(name string, spec corev1.PodSpec) *corev1.Pod {
	s.T.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.Namespace}, Spec: spec}
	last := pod.DeepCopy()
	s.must("look for pod "+name, client.IgnoreNotFound(s.Find(last)))
	if last.DeletionTimestamp != nil {
		s.Gone(last)
	}
	s.Create(pod)
	return pod
}

// lastSeen is this very pod as it was last seen, without a status where it was not: the watch may still show another
// one that had its name.
func (s *Story) lastSeen(pod *corev1.Pod) *corev1.Pod {
	now := &corev1.Pod{}
	if !seen(s.World.Seen, s.Namespace, pod.Name, now) || now.UID != pod.UID {
		return &corev1.Pod{ObjectMeta: pod.ObjectMeta}
	}
	return now
}

// runs is an error until a pod runs.
func (s *Story) runs(pod *corev1.Pod) error {
	if now := s.lastSeen(pod); now.Status.Phase != corev1.PodRunning {
		return errors.New(s.World.describePod(s.T.Context(), now))
	}
	return nil
}

// AssertContent waits for a reader's list, compares it with what the volume must hold, and
// removes the reader.
func (s *Story) AssertContent(reader *corev1.Pod, want Content) {
	s.T.Helper()
	text := s.output(reader)
	var found []entry
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var e entry
		err := d.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		s.must("read the list of "+reader.Name, err)
		found = append(found, e)
	}
	differences := want.differences(found)
	for _, d := range differences[:min(len(differences), 10)] {
		s.T.Errorf("volume read by pod %s: %s", reader.Name, d)
	}
	if n := len(differences); n > 10 {
		s.T.Errorf("volume read by pod %s: and %d more differences", reader.Name, n-10)
	}
	s.Delete(reader)
}

// Populated is the usual end: the claim is Bound, and a second pod finds on its volume
// exactly what must be there.
func (s *Story) Populated(
	claim *corev1.PersistentVolumeClaim,
	want Content,
) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {
	s.T.Helper()
	bound, volume := s.Bound(claim.Name)
	s.AssertContent(s.Reader(claim), want)
	return bound, volume
}

// output waits until a pod has succeeded and returns what it printed.
func (s *Story) output(pod *corev1.Pod) []byte {
	s.T.Helper()
	s.Await(fmt.Sprintf("pod %s to succeed", pod.Name), func() error {
		now := s.lastSeen(pod)
		switch now.Status.Phase {
		case corev1.PodSucceeded:
			return nil
		case corev1.PodFailed:
			return fmt.Errorf("%w: %s", errNever, s.World.describePod(s.T.Context(), now))
		default:
			return errors.New(s.World.describePod(s.T.Context(), now))
		}
	})
	text, err := s.World.Kube.CoreV1().Pods(s.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{}).DoRaw(s.T.Context())
	s.must("read the log of "+pod.Name, err)
	return text
}

// pods are ours, with a role, for a claim.
func (s *Story) pods(role string, claim types.UID) []corev1.Pod {
	s.T.Helper()
	var all corev1.PodList
	s.must("list pods", s.World.Client.List(s.T.Context(), &all, client.InNamespace(s.Namespace),
		client.MatchingLabels{v1alpha1.LabelRole: role, v1alpha1.LabelClaimUID: string(claim)}))
	return all.Items
}
