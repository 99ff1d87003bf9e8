// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package chart

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/cluster/image"
	"github.com/s3populator/s3populator/e2e/story"
)

// earlierCommit is what is upgraded from, while no version is released: the last one without
// policies, consumers, the queue of movers and the request hash, and with older CRDs.
const earlierCommit = "88fd4c9ad9c863016a313ca27267ae05c9d06923"

// A release of an earlier version, chart and images, is upgraded to this one while a mover of
// that version is at work. What was bound before stays as it is; the mover goes on, and what it
// began becomes a claim that is right; and claims that waited are filled.
func TestUpgradeFromAnEarlierVersion(t *testing.T) {
	s := story.Begin(t, world)
	s.MayWarn = oldLeader
	bucket := s.Bucket(story.VersityGW).Put(story.Small("", 8))
	proxy := s.Proxy(bucket)
	downgrade(t, s)

	source := s.Source("source", bucket)
	slow := s.Source("slow", bucket, func(o *v1alpha1.S3Source) { o.Spec.Endpoint = proxy.Endpoint })
	s.Ready(source, "True", "")
	filled := s.Claim(story.Claim{Name: "filled", Source: "source"})
	_, volume := s.Populated(filled, bucket.Under(""))
	waiting := s.Claim(story.Claim{Name: "waiting", Source: "source", Class: story.LateDelete})
	s.Condition(waiting.Name, string(v1alpha1.ReasonWaitForFirstConsumer))
	upgraded := make(chan struct{})
	proxy.Misbehave(story.Fault{Of: story.Fetches, Do: story.Until(upgraded)})
	s.Ready(slow, "True", "")
	underway := s.Claim(story.Claim{Name: "underway", Source: "slow"})
	mover := s.Mover(underway, "mc")

	helm(t, "upgrade", "--reset-values")
	works(t)
	if now := s.Mover(underway, "mc"); now.UID != mover.UID {
		t.Errorf("mover %s of the earlier version was replaced by %s", mover.UID, now.UID)
	}
	close(upgraded)
	s.Populated(underway, bucket.Under(""))
	if _, now := s.Populated(filled, bucket.Under("")); now.UID != volume.UID {
		t.Errorf("the claim that was bound has another volume, %s instead of %s", now.Name, volume.Name)
	}
	s.AssertContent(s.Reader(waiting), bucket.Under("")) // The reader is the consumer that it waits for.
	annotated := map[string]string{v1alpha1.AnnotationSource: "source"}
	s.Populated(s.Claim(story.Claim{Name: "annotated", Annotations: annotated}), bucket.Under(""))
}

// downgrade replaces the release by one of the earlier version, as if that had come first.
func downgrade(t *testing.T, s *story.Story) {
	t.Helper()
	earlier, err := image.At(t.Context(), earlierCommit, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, target := range []string{"manager", "mover"} {
		archive, err := earlier.Build(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if err := world.Node.LoadImages(t.Context(), archive); err != nil {
			t.Fatal(err)
		}
		names = append(names, "--set", "images."+target+".name="+earlier.Name(target))
	}
	s.Shell("helm uninstall s3populator --namespace s3populator-system --wait --ignore-not-found")
	// All of today's, which the earlier chart does not know as they are.
	s.Shell("kubectl delete --ignore-not-found crd s3sources.s3populator.io s3imports.s3populator.io " +
		"s3exports.s3populator.io s3exportpolicies.s3populator.io")
	chart := filepath.Join(earlier.Source, "manifests/chart")
	if err := install(t.Context(), world, "install", chart, names...); err != nil {
		t.Fatal(err)
	}
	works(t)
}
