// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package chart

import (
	"testing"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// The commands of README.md and docs/operations.md, as they stand there, install with images
// of a registry, by helm and by kustomize, upgrade, and uninstall. It is the last story here,
// because what the others stand on goes meanwhile.
func TestInstallCommands(t *testing.T) {
	s := story.Begin(t, world)
	s.MayWarn = oldLeader
	bucket := s.Bucket(story.VersityGW).Put(story.Small("", 4))
	annotated := func(name string) story.Claim {
		return story.Claim{Name: name, Annotations: map[string]string{v1alpha1.AnnotationSource: "source"}}
	}
	fills := func(name string) {
		t.Helper()
		// Where everything is new, kube-proxy follows a moment after the replicas are ready.
		s.Await("claims to be reviewed", func() error { return s.Selected(s.NewClaim(annotated(name))) })
		s.Populated(s.Claim(annotated(name)), bucket.Under(""))
	}
	written := s.Commands("README.md", "docs/operations.md")
	run := func(line string) {
		t.Helper()
		if written[line] == "" {
			t.Errorf("no document has this command any more: %s", line)
		}
		s.Shell(line)
	}
	const rolledOut = "kubectl -n s3populator-system rollout status deploy/s3populator"
	for _, image := range []string{"manager", "mover"} { // There is no registry that the node could pull from.
		s.Shell(
			"ctr -n k8s.io images tag --force docker.io/s3populator/" + image + ":dev " +
				"registry.example.com/s3populator/" + image + ":dev",
		)
	}
	s.Shell("helm uninstall s3populator --namespace s3populator-system --wait")
	run("helm install s3populator ./manifests/chart --namespace s3populator-system --create-namespace " +
		"--set images.manager.name=registry.example.com/s3populator/manager:dev --set images.mover.name=registry.example.com/s3populator/mover:dev")
	run(rolledOut)
	run("helm test s3populator --namespace s3populator-system")
	s.Source("source", bucket)
	fills("helm")
	s.Shell("helm uninstall s3populator --namespace s3populator-system --wait")

	run("kubectl apply --server-side -k manifests/samples/overlay")
	run(rolledOut)
	fills("overlay")
	run("kubectl apply --server-side -k manifests/default") // An upgrade, here to the images' own names.
	run("kubectl -n s3populator-system rollout restart deploy/s3populator")
	run(rolledOut)
	fills("upgraded")

	run("kubectl delete s3exports --all-namespaces -l 's3populator.io/role!=final-export'")
	run("kubectl -n s3populator-system delete job s3populator-release --ignore-not-found --cascade=foreground")
	run("kubectl apply -k manifests/release")
	run("kubectl -n s3populator-system wait --for=condition=Complete --timeout=5m job/s3populator-release")
	run("kubectl delete -k manifests/release")
	run("kubectl delete -k manifests/default")
	run("kubectl delete volumepopulator s3source.s3populator.io --ignore-not-found")
	for _, name := range []string{"helm", "overlay", "upgraded"} {
		s.AssertContent(s.Reader(s.NewClaim(story.Claim{Name: name})), bucket.Under(""))
	}
	run("kubectl apply -f manifests/policy/claims.yaml")
	s.Await(
		"the policy to be in force",
		func() error { return s.Refusal(annotated("empty"), "asks S3 volume populator for data") },
	)
	s.Shell("kubectl apply --server-side --force-conflicts -k manifests/default")
	run(rolledOut)
}
