// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

func keptBelow(prefix string) func(*v1alpha1.S3Export) {
	return func(e *v1alpha1.S3Export) { e.Spec.Destination.Prefix = prefix }
}

// comesBack asserts that what was exported below a prefix is restored with its attributes. Want is what "probe tree"
// told of the exported volume.
func comesBack(s *story.Story, bucket *story.Bucket, prefix, want string) {
	s.T.Helper()
	s.Source("restore", bucket, func(source *v1alpha1.S3Source) {
		source.Spec.Prefix, source.Spec.RestoreAttributes = prefix, true
	})
	restored := s.Claim(story.Claim{Name: "restored", Source: "restore", Size: "256Mi"})
	s.Bound(restored.Name)
	if got := s.Output("after", restored.Name, "tree", story.MountPath); got != want {
		s.T.Errorf("what was restored differs (-exported +restored):\n%s", cmp.Diff(want, got))
	}
}

// What is on a volume comes back from S3 as it was: content, names, links, modes and times. The claim is
// in use all the while; the mover reads it as the user of that pod, on its node.
func TestExportRoundTrip(t *testing.T) {
	for name, server := range map[string]story.Server{"VersityGW": story.VersityGW, "MinIO": story.MinIOTLS} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := story.Begin(t, world)
			bucket := s.Bucket(server)
			claim := s.Claim(story.Claim{Size: "64Mi"})
			user := s.User("user", claim.Name, "odd", story.MountPath)
			want := s.Output("before", claim.Name, "tree", story.MountPath)
			trust := trusting(s, bucket)
			e := s.Export("first", claim.Name, bucket, trust)
			mover := s.ExportPod(e)
			if m, u := mover.Spec.SecurityContext, user.Spec.SecurityContext; *m.RunAsUser != *u.RunAsUser ||
				!slices.Contains(m.SupplementalGroups, *u.FSGroup) || m.FSGroup != nil {
				t.Errorf("the mover runs as %+v, the pod that uses the claim as %+v", m, u)
			}
			e = s.Exported(e)
			files := bucket.Holds(e.Status.Prefix)
			if int64(len(files)) != e.Status.Objects || e.Status.Objects < 20 || e.Status.SentObjects != e.Status.Objects {
				t.Errorf("%d objects are there; the status says %+v", len(files), e.Status)
			}
			s.Source("restore", bucket, func(source *v1alpha1.S3Source) {
				source.Spec.Prefix, source.Spec.RestoreAttributes = e.Status.Prefix, true
			})
			restored := s.Claim(story.Claim{Name: "restored", Source: "restore", Size: "64Mi"})
			s.Bound(restored.Name)
			if got := s.Output("after", restored.Name, "tree", story.MountPath); got != want {
				t.Errorf("what was restored differs (-exported +restored):\n%s", cmp.Diff(want, got))
			}
			if source := s.Get("restore"); source.Status.Inventory != nil &&
				source.Status.Inventory.Digest != e.Status.ManifestDigest {
				t.Errorf("the export says digest %s, the source %s", e.Status.ManifestDigest, source.Status.Inventory.Digest)
			}
			secondRun(t, s, bucket, e, trust)
			s.Delete(user)
		})
	}
}

// secondRun sends nothing again: S3 copies what has not changed.
func secondRun(
	t *testing.T, s *story.Story, bucket *story.Bucket, first *v1alpha1.S3Export, trust func(*v1alpha1.S3Export),
) {
	t.Helper()
	s.Output("change", first.Spec.ClaimName, "append", story.MountPath+"/added", "text")
	second := s.Exported(s.Export("second", first.Spec.ClaimName, bucket, trust))
	if st := second.Status; st.CopiedFrom != first.Status.Prefix || st.SentObjects != 1 ||
		st.CopiedObjects != first.Status.Objects || st.Objects != first.Status.Objects+1 {
		t.Errorf("the second run did %+v", st)
	}
	same := s.Exported(s.Export("same", first.Spec.ClaimName, bucket, trust, keptBelow("same/")))
	again := s.Exported(s.Export("again", first.Spec.ClaimName, bucket, trust, keptBelow("same/")))
	if st := again.Status; st.SentObjects != 0 || st.UnchangedObjects != same.Status.Objects {
		t.Errorf("the second run below one prefix did %+v", st)
	}
	rehearsed := s.Exported(s.Export("rehearsed", first.Spec.ClaimName, bucket, trust, keptBelow("no/"),
		func(e *v1alpha1.S3Export) { e.Spec.DryRun = true }))
	if n := len(bucket.Holds("no/")); n > 0 || rehearsed.Status.Objects != same.Status.Objects {
		t.Errorf("a dry run left %d objects and did %+v", n, rehearsed.Status)
	}
}

// trusting lets exports trust the authority of a bucket's server.
func trusting(s *story.Story, bucket *story.Bucket) func(*v1alpha1.S3Export) {
	if bucket.Server.CABundle == nil {
		return func(*v1alpha1.S3Export) {}
	}
	ca := []v1alpha1.CABundle{{ConfigMap: &v1alpha1.KeyReference{Name: s.Authority("exports", bucket)}}}
	return func(e *v1alpha1.S3Export) { e.Spec.Destination.TLS = &v1alpha1.TLS{CABundles: ca} }
}
