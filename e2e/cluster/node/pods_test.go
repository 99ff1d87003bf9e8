// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package node_test

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/s3populator/s3populator/e2e/cluster/image"
	"github.com/s3populator/s3populator/e2e/cluster/node"
)

// podDeadline bounds one pod's life, on a machine that is busy otherwise.
const podDeadline = 5 * time.Minute

// cluster is a node and a client of it.
type cluster struct {
	*node.Node
	client *kubernetes.Clientset
}

func connected(t *testing.T, n *node.Node) cluster {
	t.Helper()
	config, err := n.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return cluster{n, client}
}

// probe runs the probe in a pod and returns what it printed. With a claim, the
// volume is at /data.
func (c cluster) probe(t *testing.T, claim string, args ...string) string {
	t.Helper()
	pods := c.client.CoreV1().Pods("default")
	pod, err := pods.Create(t.Context(), probePod(claim, args), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var phase corev1.PodPhase
	err = wait.PollUntilContextTimeout(
		t.Context(),
		50*time.Millisecond,
		podDeadline,
		true,
		func(ctx context.Context) (bool, error) {
			got, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
			if err == nil {
				pod, phase = got, got.Status.Phase
			}
			return phase == corev1.PodSucceeded || phase == corev1.PodFailed, nil // One look that fails is followed by others.
		},
	)
	if err != nil {
		t.Fatalf("probe %v did not end: %v\n%+v\n%s", args, err, pod.Status, c.Diagnose())
	}
	out, err := pods.GetLogs(pod.Name, &corev1.PodLogOptions{}).DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if phase != corev1.PodSucceeded {
		t.Fatalf("probe %v failed: %s\n%+v", args, out, pod.Status)
	}
	return string(out)
}

// probePod meets the restricted pod security standard.
func probePod(claim string, args []string) *corev1.Pod {
	yes, no, id := true, false, int64(65532)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: &yes, RunAsUser: &id, FSGroup: &id,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "probe", Image: image.Name("probe"), ImagePullPolicy: corev1.PullNever, Args: args,
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
	if claim != "" {
		pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}}}
		pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	}
	return pod
}

// claim asks the default class for a volume.
func (c cluster) claim(t *testing.T, name string) {
	t.Helper()
	_, err := c.client.CoreV1().PersistentVolumeClaims("default").Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("32Mi")},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}
