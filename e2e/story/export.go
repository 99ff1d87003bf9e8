// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
)

// NewExport is an S3Export of a claim to a bucket that is not created yet; the Secret that it needs is.
func (s *Story) NewExport(name, claim string, b *Bucket, changes ...func(*v1alpha1.S3Export)) *v1alpha1.S3Export {
	s.T.Helper()
	secret := SecretName + "-" + b.Name
	s.ensure(
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: secret, Namespace: s.Namespace}, StringData: map[string]string{
			"access_key": b.Server.AccessKey, "secret_key": b.Server.SecretKey,
		}},
	)
	e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.Namespace}}
	e.Spec.ClaimName = claim
	e.Spec.Destination.S3Location = v1alpha1.S3Location{
		Endpoint: b.Server.Endpoint, Bucket: b.Name,
		Credentials: &v1alpha1.Credentials{SecretRef: &v1alpha1.SecretReference{Name: secret}},
	}
	for _, change := range changes {
		change(e)
	}
	return e
}

// Export makes an S3Export of a claim to a bucket.
func (s *Story) Export(name, claim string, b *Bucket, changes ...func(*v1alpha1.S3Export)) *v1alpha1.S3Export {
	s.T.Helper()
	e := s.NewExport(name, claim, b, changes...)
	s.Create(e)
	return e
}

// Exported waits until an export is complete, and ends at once where it has failed.
func (s *Story) Exported(e *v1alpha1.S3Export) *v1alpha1.S3Export {
	s.T.Helper()
	return s.awaitExport(e, "to be complete", func(now *v1alpha1.S3Export, c metav1.Condition) error {
		if now.Status.Phase == v1alpha1.ExportFailed {
			return fmt.Errorf("%w: it failed with %s: %s", errNever, c.Reason, c.Message)
		}
		if c.Status != metav1.ConditionTrue {
			return fmt.Errorf("it is %s, %s: %s", now.Status.Phase, c.Reason, c.Message)
		}
		return nil
	})
}

// ExportTells waits until an export is in a phase for a reason and its message contains a text.
func (s *Story) ExportTells(e *v1alpha1.S3Export, phase v1alpha1.ExportPhase, reason, text string) *v1alpha1.S3Export {
	s.T.Helper()
	what := fmt.Sprintf("to be %s for %s %q", phase, reason, text)
	return s.awaitExport(e, what, func(now *v1alpha1.S3Export, c metav1.Condition) error {
		if now.Status.Phase != phase || c.Reason != reason || !strings.Contains(c.Message, text) {
			return fmt.Errorf("it is %s, %s: %s", now.Status.Phase, c.Reason, c.Message)
		}
		return nil
	})
}

func (s *Story) awaitExport(
	e *v1alpha1.S3Export, what string, is func(*v1alpha1.S3Export, metav1.Condition) error,
) *v1alpha1.S3Export {
	s.T.Helper()
	now := &v1alpha1.S3Export{}
	s.Await(fmt.Sprintf("S3Export %s %s", e.Name, what), func() error {
		if err := s.World.Client.Get(s.T.Context(), client.ObjectKeyFromObject(e), now); err != nil {
			return err
		}
		c := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionComplete)
		if c == nil {
			return errors.New("it has no condition")
		}
		return is(now, *c)
	})
	return now
}

// ExportGone waits until an export and all pods of it are gone.
func (s *Story) ExportGone(e *v1alpha1.S3Export) {
	s.T.Helper()
	s.Await("S3Export "+e.Name+" to be gone with its pods", func() error {
		err := s.World.Client.Get(s.T.Context(), client.ObjectKeyFromObject(e), &v1alpha1.S3Export{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there (%w)", err)
		}
		var pods corev1.PodList
		err = s.World.Client.List(s.T.Context(), &pods, client.InNamespace(s.Namespace),
			client.MatchingLabels{v1alpha1.LabelExportUID: string(e.UID)})
		if err == nil && len(pods.Items) > 0 {
			err = fmt.Errorf("pod %s is there", pods.Items[0].Name)
		}
		return err
	})
}

// Unguarded tells of an export that is over and still has a finalizer.
func (s *Story) Unguarded() error {
	var all v1alpha1.S3ExportList
	if err := s.World.Client.List(s.T.Context(), &all, client.InNamespace(s.Namespace)); err != nil {
		return err
	}
	for _, e := range all.Items {
		if e.Status.Phase == v1alpha1.ExportFailed && len(e.Finalizers) > 0 {
			return fmt.Errorf("S3Export %s has %v", e.Name, e.Finalizers)
		}
	}
	return nil
}

// ExportPod waits until there is or was a mover of an export, and returns it as it was last seen.
func (s *Story) ExportPod(e *v1alpha1.S3Export) (pod *corev1.Pod) {
	s.T.Helper()
	s.Await("a mover of S3Export "+e.Name, func() error {
		if pod = s.World.Seen.mover(s.Namespace, moverpod.ExportName(string(e.UID))); pod == nil {
			return errors.New("there was none")
		}
		return nil
	})
	return pod
}

// ExportMover waits until the mover of an export runs. The export has to last: one that ends between two looks is
// never seen to run.
func (s *Story) ExportMover(e *v1alpha1.S3Export) *corev1.Pod {
	s.T.Helper()
	pod := &corev1.Pod{}
	s.Await("the mover of S3Export "+e.Name, func() error {
		if !seen(s.World.Seen, s.Namespace, moverpod.ExportName(string(e.UID)), pod) {
			return errors.New("there is none")
		}
		if !s.Running(pod.UID, "mover") {
			return errors.New(s.World.describePod(s.T.Context(), pod))
		}
		return nil
	})
	return pod
}

// User makes a pod that uses a claim: the probe runs once with these arguments, and then the pod stays.
func (s *Story) User(name, claim string, args ...string) *corev1.Pod {
	s.T.Helper()
	spec := PodSpec(claim, false, false, "sleep")
	if len(args) > 0 {
		first := *spec.Containers[0].DeepCopy()
		first.Name, first.Args = "first", args
		spec.InitContainers = []corev1.Container{first}
	}
	pod := s.pod(name, spec)
	s.Await("pod "+name+" to run", func() error { return s.runs(pod) })
	return pod
}

// Output is what a pod prints that runs the probe once over a claim.
func (s *Story) Output(name, claim string, args ...string) string {
	s.T.Helper()
	pod := s.pod(name, PodSpec(claim, false, false, args...))
	text := s.output(pod)
	s.Delete(pod)
	s.Gone(pod)
	return string(text)
}

// Holds is every object below a prefix, by the rest of its key, but for the exports' own.
func (b *Bucket) Holds(prefix string) map[string]int64 {
	b.story.T.Helper()
	all := map[string]int64{}
	below := minio.ListObjectsOptions{Prefix: prefix, Recursive: true}
	for o := range b.s3.ListObjects(b.story.T.Context(), b.Name, below) {
		b.story.must("list bucket "+b.Name, o.Err)
		if rest := strings.TrimPrefix(o.Key, prefix); !strings.HasPrefix(rest, ".s3populator/") {
			all[rest] = o.Size
		}
	}
	return all
}

// Uploads are the keys of multipart uploads that are open.
func (b *Bucket) Uploads() (keys []string) {
	b.story.T.Helper()
	r, err := minio.Core{Client: b.s3}.ListMultipartUploads(b.story.T.Context(), b.Name, "", "", "", "", 1000)
	b.story.must("list uploads of "+b.Name, err)
	for _, u := range r.Uploads {
		keys = append(keys, u.Key)
	}
	return keys
}

// describeExports is for describeNamespace.
func describeExports(ctx context.Context, from client.Client, out io.Writer, in client.ListOption) {
	var exports v1alpha1.S3ExportList
	_ = from.List(ctx, &exports, in) // What cannot be read is left out.
	for i := range exports.Items {
		e := &exports.Items[i]
		st := e.Status
		_, _ = fmt.Fprintf(out, "S3Export %s: %s, attempts %d, failures %d, finalizers %v, progress %+v%s\n",
			e.Name, st.Phase, st.Attempts, st.Failures, e.Finalizers, st.Progress, conditions(st.Conditions))
	}
}

// DeleteAs begins to delete an object with a propagation policy.
func (s *Story) DeleteAs(o client.Object, policy string) {
	s.T.Helper()
	err := s.World.Client.Delete(s.T.Context(), o, client.PropagationPolicy(metav1.DeletionPropagation(policy)))
	s.must("delete "+o.GetName(), err)
}

// NamespaceGone deletes the story's namespace and waits until it is gone.
func (s *Story) NamespaceGone() {
	s.T.Helper()
	space := &corev1.Namespace{ObjectMeta: objectMeta(s.Namespace)}
	s.Delete(space)
	s.Await("the namespace to be gone", func() error {
		err := s.World.Client.Get(s.T.Context(), client.ObjectKeyFromObject(space), space)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there: %v", space.Status.Conditions)
	})
}

// Keys are those below a prefix, with the exports' own.
func (b *Bucket) Keys(prefix string) (keys []string) {
	b.story.T.Helper()
	all := minio.ListObjectsOptions{Prefix: prefix, Recursive: true}
	for o := range b.s3.ListObjects(b.story.T.Context(), b.Name, all) {
		b.story.must("list bucket "+b.Name, o.Err)
		keys = append(keys, o.Key)
	}
	return keys
}

// AbortUploads ends what is open, where a story says why nobody else does.
func (b *Bucket) AbortUploads() {
	b.story.T.Helper()
	for _, key := range b.Uploads() {
		b.story.must("abort "+key, b.s3.RemoveIncompleteUpload(b.story.T.Context(), b.Name, key))
	}
}
