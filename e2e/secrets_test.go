// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// The search for secrets that follows every story finds a secret key wherever one is planted,
// before anything is deleted, and a token in the log of a container.
func TestPlantedSecrets(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO)
	key := bucket.Server.SecretKey
	named := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: "planted-" + name, Namespace: s.Namespace}
	}
	annotated := func(name string) metav1.ObjectMeta {
		m := named(name)
		m.Annotations = map[string]string{"e2e/key": "it is " + key}
		return m
	}
	argument, environment := story.PodSpec("none", false, true, "sleep", key), story.PodSpec("none", false, true, "sleep")
	environment.Containers[0].Env = []corev1.EnvVar{{Name: "KEY", Value: key}}
	claim := s.NewClaim(story.Claim{Class: story.LateDelete})
	claim.ObjectMeta = annotated("claim")
	location := v1alpha1.S3Location{Endpoint: bucket.Server.Endpoint, Bucket: bucket.Name}
	source := &v1alpha1.S3Source{ObjectMeta: annotated("source"), Spec: v1alpha1.S3SourceSpec{S3Location: location}}
	source.Annotations[v1alpha1.AnnotationInventory] = v1alpha1.InventorySkip
	managed := &corev1.ConfigMap{ObjectMeta: named("managed"), Data: map[string]string{key: ""}}
	event := &corev1.Event{
		ObjectMeta: named("event"), Message: "the key is " + key, Reason: "Planted", Type: corev1.EventTypeNormal,
		InvolvedObject: corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: s.Namespace, Name: claim.Name},
	}
	pods := []*corev1.Pod{
		{ObjectMeta: named("argument"), Spec: argument},
		{ObjectMeta: named("environment"), Spec: environment},
	}
	data := &corev1.ConfigMap{ObjectMeta: named("data"), Data: map[string]string{"key": key}}
	s.Create(claim)
	s.Create(source)
	s.Create(event)
	s.Create(managed)
	s.Create(data)
	for _, pod := range pods {
		s.Create(pod)
	}
	s.Planted(claim, source, event, managed, data, pods[0], pods[1])

	// A token as movers have one, which a pod prints: nobody told the search which.
	printing := story.PodSpec("none", false, true, "cat", story.MountPath+"/token")
	printing.Volumes[0].VolumeSource = corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
			Audience: "nobody", ExpirationSeconds: new(int64(600)), Path: "token",
		}}},
	}}
	s.Create(&corev1.Pod{ObjectMeta: named("log"), Spec: printing})
	s.PlantedInLog("planted-log", "a JSON Web Token")
}
