// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// relabelling is a policy that takes every mover of a story's namespace for the platform's.
func relabelling(s *story.Story) (*admissionv1.MutatingAdmissionPolicy, *admissionv1.MutatingAdmissionPolicyBinding) {
	meta := metav1.ObjectMeta{Name: "relabel-" + s.Namespace}
	policy := &admissionv1.MutatingAdmissionPolicy{ObjectMeta: meta, Spec: admissionv1.MutatingAdmissionPolicySpec{
		ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
		MatchConstraints: &admissionv1.MatchResources{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: s.Namespace}},
			ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}}},
		},
		MatchConditions: []admissionv1.MatchCondition{
			{Name: "managed", Expression: `has(object.metadata.labels) && "s3populator.io/role" in object.metadata.labels`},
		},
		Mutations: []admissionv1.Mutation{{
			PatchType: admissionv1.PatchTypeApplyConfiguration,
			ApplyConfiguration: &admissionv1.ApplyConfiguration{
				Expression: `Object{metadata: Object.metadata{labels: {"app.kubernetes.io/managed-by": "platform"}}}`,
			},
		}},
	}}
	return policy, &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: meta,
		Spec:       admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: meta.Name},
	}
}

// relabels waits until the API server has noticed that the policy came or went, by asking for
// a pod that is not made.
func relabels(s *story.Story, want bool) {
	s.T.Helper()
	s.Await("the policy to be noticed", func() error {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name:      "asked",
				Namespace: s.Namespace,
				Labels:    map[string]string{"s3populator.io/role": "none"},
			},
			Spec: story.PodSpec("none", false, false, "sha256", "/data"),
		}
		if err := world.Client.Create(s.T.Context(), pod, client.DryRunAll); err != nil {
			return err
		}
		if is := pod.Labels["app.kubernetes.io/managed-by"] == "platform"; is != want {
			return errors.New("it is not")
		}
		return nil
	})
}

// A policy that rewrites the label by which movers are watched makes a mover that nobody
// sees. The claim names the label, and goes on once the policy and the pod are gone.
func TestMoverRelabelled(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonLabelsChanged)}
	s.MayWarn = []string{"Interrupted"}
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 4))
	s.Source(
		"source",
		bucket,
		func(o *v1alpha1.S3Source) { o.Annotations = map[string]string{v1alpha1.AnnotationInventory: "Skip"} },
	)
	policy, binding := relabelling(s)
	s.Create(policy)
	s.Create(binding)
	t.Cleanup(func() { s.Remove(binding); s.Remove(policy) })
	relabels(s, true)
	claim := s.Claim(story.Claim{Source: "source"})
	s.WaitForCondition(claim.Name, string(v1alpha1.ReasonLabelsChanged), `"platform"`)
	s.Delete(binding)
	relabels(s, false)
	s.Delete(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "populate-" + string(claim.UID), Namespace: s.Namespace}})
	s.Populated(claim, bucket.Under(""))
}
