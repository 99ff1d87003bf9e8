// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// Thousands of files and one of 1 GiB go to S3 and come back as they were, and other programs read the same
// bytes there. The next run, after one file of a hundred has changed, reads and sends only those.
func TestExportOfThousandsOfFiles(t *testing.T) {
	s := story.Begin(t, world) // Not parallel: it has the disk of the node for itself.
	const many = 5000
	bucket := s.Bucket(story.MinIO)
	claim := s.Claim(story.Claim{Size: "1536Mi"})
	user := s.User("user", claim.Name, "odd", story.MountPath) // As whom the mover runs, while it is there.
	s.Output("many", claim.Name, "many", story.MountPath+"/many", strconv.Itoa(many))
	s.Output("huge", claim.Name, "write", story.MountPath+"/huge.bin", fmt.Sprint(1024*story.MiB))
	want := s.Output("before", claim.Name, "tree", story.MountPath)

	first := s.Exported(s.Export("first", claim.Name, bucket, keptBelow("nightly/")))
	sums := regular(t, want)
	if st := first.Status; st.Objects != int64(len(sums)) || st.SentObjects != st.Objects || st.Objects < many {
		t.Errorf("%d files are on the volume; the status says %+v", len(sums), st)
	}
	for _, peer := range story.Peers {
		if got := bucket.CopiedBy(peer, "nightly/"); !cmp.Equal(got, sums) {
			t.Errorf("what %s reads differs (-volume +%s):\n%s", peer, peer, cmp.Diff(sums, got))
		}
	}
	s.Source("restore", bucket, func(source *v1alpha1.S3Source) {
		source.Spec.Prefix, source.Spec.RestoreAttributes = "nightly/", true
	})
	restored := s.Claim(story.Claim{Name: "restored", Source: "restore", Size: "1536Mi"})
	s.Bound(restored.Name)
	if got := s.Output("after", restored.Name, "tree", story.MountPath); got != want {
		t.Errorf("what was restored differs (-exported +restored):\n%s", cmp.Diff(want, got))
	}

	const every = 100
	s.Output("change", claim.Name, "change", story.MountPath+"/many", strconv.Itoa(every))
	second := s.Exported(s.Export("second", claim.Name, bucket, keptBelow("nightly/")))
	if st := second.Status; st.SentObjects != many/every || st.UnchangedObjects != st.Objects-many/every ||
		st.Objects != first.Status.Objects {
		t.Errorf("the second run did %+v", st)
	}
	s.Delete(user)
}

// regular are the sums of the regular files that "probe tree" told of, by path.
func regular(t *testing.T, tree string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	for line := range strings.Lines(tree) {
		var e struct{ Path, SHA256, Mode string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		path, err := strconv.Unquote(e.Path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(e.Mode, "-") {
			sums[path] = e.SHA256
		}
	}
	return sums
}
