// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// The example of an import is followed: a part of a source is loaded anew beside the rest, which stays as it is.
func TestImportSample(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{
		"imagenet/labels/a": []byte("old"), "imagenet/images/a": []byte("old"),
	})
	apply(s, story.Site{Bucket: bucket}, []string{"quickstart.yaml"})
	claim, _ := s.Bound("imagenet")
	bucket.Put(map[string][]byte{
		"imagenet/labels/a": []byte("new"), "imagenet/labels/b": []byte("added"), "imagenet/images/a": []byte("new"),
	})
	apply(s, story.Site{Bucket: bucket}, []string{"import.yaml"})
	i := s.Imported(&v1alpha1.S3Import{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "imagenet-labels-1"}})
	if i.Status.Objects != 2 || i.Status.FetchedBytes != 8 || i.Status.Engine != "Native" {
		t.Errorf("the import says %+v", i.Status)
	}
	s.AssertContent(s.Reader(claim), holding(map[string][]byte{
		"labels/a": []byte("new"), "labels/b": []byte("added"), "images/a": []byte("old"),
	}))
	s.Kubectl("wait", "--for=condition=Complete", "s3import/imagenet-labels-1")
	s.WaitForEvent(i, "ImportStarted", "")
	s.WaitForEvent(i, "Imported", "")
}

// holding is what a volume with these files holds.
func holding(files map[string][]byte) story.Content {
	content := story.Content{}
	for path, data := range files {
		content[path] = story.Object{Size: int64(len(data)), SHA256: sums(data)[0]}
	}
	return content
}

// sums are the checksums of contents, as the probe prints them.
func sums(contents ...[]byte) (all []string) {
	for _, c := range contents {
		sum := sha256.Sum256(c)
		all = append(all, hex.EncodeToString(sum[:]))
	}
	return all
}

// An import into a volume whose reader loops over the files: it sees each file as it was or as it is, and never
// anything else.
func TestImportBesideAReader(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	older, newer := story.Bytes(1, 3*story.MiB), story.Bytes(2, 3*story.MiB)
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{"set/a.bin": older, "set/b.bin": older, "set/same.bin": older})
	source := s.Source("set", bucket, func(o *v1alpha1.S3Source) {
		o.Spec.Prefix, o.Spec.Transfer.Parallelism = "set/", 1
	})
	claim := s.Claim(story.Claim{Source: source.Name, Size: "64Mi"})
	s.Bound(claim.Name)
	s.Output("own", claim.Name, "append", story.MountPath+"/own.txt", "not in the bucket")
	bucket.Put(map[string][]byte{"set/a.bin": newer, "set/b.bin": newer, "set/new.bin": newer})
	story.Update(s, source, func(o *v1alpha1.S3Source) { o.Spec.Transfer.Bandwidth = "3Mi" })
	end := s.Follow("reader", claim.Name, 4)
	i := s.Imported(s.StartImport("run", claim.Name, source.Name))
	if st := i.Status; st.Objects != 4 || st.FetchedBytes != 9*story.MiB || st.UnchangedObjects != 1 || st.Attempts != 1 {
		t.Errorf("the import says %+v", st)
	}
	known := map[string][]string{
		"a.bin": sums(older, newer), "b.bin": sums(older, newer), "same.bin": sums(older), "new.bin": sums(newer),
		"own.txt": sums([]byte("not in the bucket")),
	}
	got := map[string][]string{}
	for line := range strings.SplitSeq(strings.TrimSpace(end()), "\n") {
		var seen struct{ Path, SHA256 string }
		if err := json.Unmarshal([]byte(line), &seen); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got[seen.Path] = append(got[seen.Path], seen.SHA256)
	}
	for path, want := range known {
		if !slices.Equal(got[path], want) {
			t.Errorf("the reader saw %s as %q, want %q", path, got[path], want)
		}
		delete(got, path)
	}
	if len(got) > 0 {
		t.Errorf("the reader saw %v", got)
	}
}

// A token refreshes a claim from its source: what has changed is fetched and nothing else, the same token twice is one
// run, also after a restart of the manager, and nobody gains rights that he lacks. It is not parallel: it restarts the
// manager.
func TestImportByAnnotation(t *testing.T) {
	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGW).Put(story.Small("imagenet/", 5))
	apply(s, story.Site{Bucket: bucket}, []string{"quickstart.yaml"})
	claim, _ := s.Bound("imagenet")
	s.Grant("claimer", "persistentvolumeclaims", "persistentvolumeclaims/status", "pods")
	err := annotateAs(t.Context(), s.As("claimer"), claim, map[string]string{v1alpha1.AnnotationImportNow: "1"})
	if err == nil || !strings.Contains(err.Error(), "claimer, who may not create s3imports.s3populator.io there") {
		t.Fatalf("one who may not create S3Imports asked for one: %v", err)
	}
	plain := s.Claim(story.Claim{Name: "plain"})
	err = annotateAs(t.Context(), world.Client, plain, map[string]string{v1alpha1.AnnotationImportNow: "1"})
	if err == nil || !strings.Contains(err.Error(), "metadata.annotations[s3populator.io/import-now]") {
		t.Fatalf("a token on a claim of no source was admitted: %v", err)
	}
	ask := func(token string) {
		s.Kubectl("annotate", "pvc", "imagenet", "--overwrite", v1alpha1.AnnotationImportNow+"="+token)
	}
	imports := func(want int) (found []v1alpha1.S3Import) {
		s.Await(fmt.Sprintf("%d complete imports", want), func() (err error) {
			if found, err = s.ImportsOf(claim.Name); err != nil {
				return err
			}
			for _, i := range found {
				if i.Status.Phase != v1alpha1.ImportSucceeded {
					return fmt.Errorf("S3Import %s is %s: %+v", i.Name, i.Status.Phase, i.Status.Conditions)
				}
			}
			if len(found) != want {
				return fmt.Errorf("there are %d", len(found))
			}
			return nil
		})
		return found
	}
	bucket.Put(map[string][]byte{"imagenet/added.txt": []byte("added")})
	ask("1")
	first := imports(1)[0]
	if first.Status.FetchedBytes != 5 || first.Status.Objects != 6 {
		t.Errorf("the first refresh says %+v", first.Status)
	}
	s.RestartManager()
	ask("1")
	ask("2")
	for _, i := range imports(2) {
		if i.UID != first.UID && (i.Status.FetchedBytes != 0 || i.Status.Objects != 6) {
			t.Errorf("a refresh of nothing says %+v", i.Status)
		}
	}
	s.AssertContent(s.Reader(claim), bucket.Under("imagenet/"))
}

// badImportRuns are imports that cannot be, with the reason that each tells.
var badImportRuns = map[string]struct {
	change func(*v1alpha1.S3Import)
	phase  v1alpha1.ImportPhase
	reason string
	says   string
}{
	"absent-claim": {
		func(i *v1alpha1.S3Import) { i.Spec.ClaimName = "absent" },
		v1alpha1.ImportPending, "ClaimNotFound", "no claim absent",
	},
	"pending-claim": {
		func(i *v1alpha1.S3Import) { i.Spec.ClaimName = "late" }, v1alpha1.ImportPending, "ClaimNotBound", "late is Pending",
	},
	"device": {
		func(i *v1alpha1.S3Import) { i.Spec.ClaimName = "device" },
		v1alpha1.ImportFailed, "UnsupportedClaim", "volumeMode Block",
	},
	"absent-source": {
		func(i *v1alpha1.S3Import) { i.Spec.SourceName = "absent" },
		v1alpha1.ImportPending, "SourceNotFound", "no S3Source absent",
	},
	"source-of-mc": {
		func(i *v1alpha1.S3Import) { i.Spec.SourceName = "mc" }, v1alpha1.ImportFailed, "UnsupportedSource", "Auto or Native",
	},
	"another-prefix": {
		func(i *v1alpha1.S3Import) { i.Spec.Prefix = "other/" },
		v1alpha1.ImportFailed, "InvalidSelection", `not below "set/"`,
	},
	"absent-object": {
		func(i *v1alpha1.S3Import) { i.Spec.Objects = object("set/absent", "") },
		v1alpha1.ImportFailed, "NoSuchObject", "set/absent",
	},
	"absent-bucket": {
		func(i *v1alpha1.S3Import) { i.Spec.SourceName = "nowhere" }, v1alpha1.ImportFailed, "NoSuchBucket", "no-such-bucket",
	},
	"file-for-a-directory": {
		func(i *v1alpha1.S3Import) { i.Spec.TargetPath = "file/below" }, v1alpha1.ImportFailed, "PathConflict", "file",
	},
	"other-user": {func(i *v1alpha1.S3Import) {
		i.Spec.Mover = &v1alpha1.ImportMover{PodSecurityContext: strict(4711)}
	}, v1alpha1.ImportFailed, "VolumeNotWritable", "4711"},
	"root": {func(i *v1alpha1.S3Import) {
		c := strict(0)
		c.RunAsNonRoot = new(false)
		i.Spec.Mover = &v1alpha1.ImportMover{PodSecurityContext: c}
	}, v1alpha1.ImportPending, "MoverRefused", "PodSecurity"},
}

// Each mistake has its own reason, and nothing is left of it on the volume. They take turns, and those that wait for
// something hold up nobody for ever: they are made one after the other and go again.
func TestImportBadInput(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGW).Put(story.Small("set/", 3))
	s.Source("set", bucket, func(o *v1alpha1.S3Source) { o.Spec.Prefix = "set/" })
	s.Source("mc", bucket, func(o *v1alpha1.S3Source) { o.Spec.Transfer.Engine = "MC" })
	s.MayWarn = append(s.MayWarn, "NoSuchBucket")
	s.Source("nowhere", bucket, func(o *v1alpha1.S3Source) { o.Spec.Bucket = "no-such-bucket" })
	claim := s.Claim(story.Claim{Size: "64Mi"})
	s.Claim(story.Claim{Name: "late", Class: story.LateDelete})
	s.Claim(story.Claim{Name: "device", Block: true})
	s.User("user", claim.Name, "write", story.MountPath+"/file", "10")
	for name, bad := range badImportRuns {
		s.MayWarn = append(s.MayWarn, bad.reason)
		i := s.StartImport(name, claim.Name, "set", bad.change, func(i *v1alpha1.S3Import) {
			i.Spec.Retries = &v1alpha1.Retries{Limit: new(int32(0))}
		})
		s.ImportTells(i, bad.phase, bad.reason, bad.says)
		s.Delete(i)
		s.ImportGone(i)
	}
	if held := strings.Fields(s.Output("look", claim.Name, "ls", story.MountPath)); !slices.Equal(held, []string{"file"}) {
		t.Errorf("the volume holds %q", held)
	}
}

// An import that is deleted or suspended in mid-run ends its pod, which removes what it has not put into place; one
// that goes on afterwards is complete. A second one into the same claim waits for it.
func TestImportInterrupted(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	large := story.Bytes(3, 24*story.MiB)
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{"set/large.bin": large})
	source := s.Source("set", bucket, func(o *v1alpha1.S3Source) {
		// 48 s: neither run may be over before it is interrupted.
		o.Spec.Prefix, o.Spec.Transfer = "set/", v1alpha1.Transfer{Bandwidth: "512Ki", Parallelism: 1}
	})
	claim := s.Claim(story.Claim{Size: "96Mi"})
	s.User("user", claim.Name)
	first := s.StartImport("first", claim.Name, source.Name)
	s.ImportMover(first)
	second := s.StartImport("second", claim.Name, source.Name)
	s.ImportTells(second, v1alpha1.ImportPending, "ClaimImporting", "S3Import first loads into claim")
	s.Delete(first)
	s.ImportGone(first)
	mover := s.ImportMover(second)
	story.Update(s, second, func(i *v1alpha1.S3Import) { i.Spec.Suspend = true })
	s.ImportTells(second, v1alpha1.ImportSuspended, "Suspended", "spec.suspend is true")
	s.Gone(mover)
	if held := strings.TrimSpace(s.Output("look", claim.Name, "ls", story.MountPath)); held != "" {
		t.Errorf("the volume holds %q", held)
	}
	story.Update(s, source, func(o *v1alpha1.S3Source) { o.Spec.Transfer = v1alpha1.Transfer{} })
	story.Update(s, second, func(i *v1alpha1.S3Import) { i.Spec.Suspend = false })
	if st := s.Imported(second).Status; st.Attempts != 2 || st.Bytes != 24*story.MiB || st.Failures+st.Disruptions != 0 {
		t.Errorf("the status says %+v", st)
	}
	s.AssertContent(s.Reader(claim), holding(map[string][]byte{"large.bin": large}))
}

// A manager that is replaced in mid-run ends nothing: the one mover there is brings the import to its end. Then the
// import is deleted by its age, and what it has loaded stays, also below a path of its own, where deleteExtra has
// removed what the source does not have. A tenant passes no import off for what shows how a claim is filled.
func TestImportOutlivesTheManager(t *testing.T) {
	s := story.Begin(t, world) // Not parallel: the manager is everybody's.
	content := story.Bytes(4, 12*story.MiB)
	bucket := s.Bucket(story.VersityGW).Put(map[string][]byte{"set/a.bin": content})
	source := s.Source("set", bucket, func(o *v1alpha1.S3Source) {
		o.Spec.Prefix, o.Spec.Transfer = "set/", v1alpha1.Transfer{Bandwidth: "768Ki", Parallelism: 1}
	})
	claim := s.Claim(story.Claim{Size: "64Mi"})
	s.Output("outside", claim.Name, "append", story.MountPath+"/outside.txt", "stays")
	s.Output("extra", claim.Name, "write", story.MountPath+"/below/extra.txt", "7")
	i := s.StartImport("run", claim.Name, source.Name, func(i *v1alpha1.S3Import) {
		i.Spec.TargetPath, i.Spec.DeleteExtra, i.Spec.TTLSecondsAfterFinished = "below", true, new(int32(3))
		i.Spec.Mover = &v1alpha1.ImportMover{PodSecurityContext: strict(1000)}
	})
	s.ImportMover(i)
	s.RestartManager()
	s.Await("the import to go", func() error {
		now := i.DeepCopy()
		if err := s.Find(now); err == nil {
			return fmt.Errorf("it is %s, attempts %d", now.Status.Phase, now.Status.Attempts)
		}
		return nil
	})
	s.ImportGone(i)
	s.AssertContent(s.Reader(claim), holding(map[string][]byte{"outside.txt": []byte("stays"), "below/a.bin": content}))
	s.Grant("importer", "s3imports")
	forged := &v1alpha1.S3Import{ObjectMeta: metav1.ObjectMeta{
		Namespace: s.Namespace, Name: "forged", Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
	}, Spec: i.Spec}
	if err := s.As("importer").Create(t.Context(), forged); err == nil ||
		!strings.Contains(err.Error(), "leave both as they are") {
		t.Errorf("a tenant made a record: %v", err)
	}
}

// A claim that one pod alone may use is imported into when that pod has ended, as whom the import says: nobody is left
// to tell.
func TestImportIntoOnePodsClaim(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{"ClaimInUse"}
	bucket := s.Bucket(story.VersityGW).Put(map[string][]byte{"set/a": bytes.Repeat([]byte("a"), 100)})
	s.Source("set", bucket, func(o *v1alpha1.S3Source) { o.Spec.Prefix = "set/" })
	claim := s.Claim(story.Claim{Source: "set", Mode: corev1.ReadWriteOncePod})
	s.Bound(claim.Name)
	user := s.User("user", claim.Name)
	bucket.Put(map[string][]byte{"set/a": bytes.Repeat([]byte("b"), 100)})
	i := s.StartImport("run", claim.Name, "set", func(i *v1alpha1.S3Import) {
		c := strict(1000)
		c.SupplementalGroups = []int64{2000} // The kubelet gave the files to that pod's fsGroup.
		i.Spec.Mover = &v1alpha1.ImportMover{PodSecurityContext: c}
	})
	s.ImportTells(i, v1alpha1.ImportPending, "ClaimInUse", "Pod user uses claim")
	s.Delete(user)
	if st := s.Imported(i).Status; st.FetchedBytes != 100 {
		t.Errorf("the import says %+v", st)
	}
}
