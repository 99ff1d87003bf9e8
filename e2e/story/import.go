// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
)

// StartImport makes an S3Import from a source into a claim, as a user does.
func (s *Story) StartImport(name, claim, source string, changes ...func(*v1alpha1.S3Import)) *v1alpha1.S3Import {
	s.T.Helper()
	i := &v1alpha1.S3Import{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.Namespace}}
	i.Spec.ClaimName, i.Spec.SourceName = claim, source
	for _, change := range changes {
		change(i)
	}
	s.Create(i)
	return i
}

// Imported waits until an import is complete, and ends at once where it has failed.
func (s *Story) Imported(i *v1alpha1.S3Import) *v1alpha1.S3Import {
	s.T.Helper()
	return s.awaitImport(i, "to be complete", func(now *v1alpha1.S3Import, c metav1.Condition) error {
		if now.Status.Phase == v1alpha1.ImportFailed {
			return fmt.Errorf("%w: it failed with %s: %s", errNever, c.Reason, c.Message)
		}
		if c.Status != metav1.ConditionTrue {
			return fmt.Errorf("it is %s, %s: %s", now.Status.Phase, c.Reason, c.Message)
		}
		return nil
	})
}

// ImportTells waits until an import is in a phase for a reason and its message contains a text.
func (s *Story) ImportTells(i *v1alpha1.S3Import, phase v1alpha1.ImportPhase, reason, text string) *v1alpha1.S3Import {
	s.T.Helper()
	what := fmt.Sprintf("to be %s for %s %q", phase, reason, text)
	return s.awaitImport(i, what, func(now *v1alpha1.S3Import, c metav1.Condition) error {
		if now.Status.Phase != phase || c.Reason != reason || !strings.Contains(c.Message, text) {
			return fmt.Errorf("it is %s, %s: %s", now.Status.Phase, c.Reason, c.Message)
		}
		return nil
	})
}

func (s *Story) awaitImport(
	i *v1alpha1.S3Import, what string, is func(*v1alpha1.S3Import, metav1.Condition) error,
) *v1alpha1.S3Import {
	s.T.Helper()
	now := &v1alpha1.S3Import{}
	s.Await(fmt.Sprintf("S3Import %s %s", i.Name, what), func() error {
		if err := s.World.Client.Get(s.T.Context(), client.ObjectKeyFromObject(i), now); err != nil {
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

// ImportMover waits until the mover of an import runs. The import has to last, as an export for ExportMover.
func (s *Story) ImportMover(i *v1alpha1.S3Import) *corev1.Pod {
	s.T.Helper()
	pod := &corev1.Pod{}
	s.Await("the mover of S3Import "+i.Name, func() error {
		if !seen(s.World.Seen, s.Namespace, moverpod.ImporterName(string(i.UID)), pod) {
			return errors.New("there is none")
		}
		if !s.Running(pod.UID, "mover") {
			return errors.New(s.World.describePod(s.T.Context(), pod))
		}
		return nil
	})
	return pod
}

// ImportGone waits until an import and all pods of it are gone.
func (s *Story) ImportGone(i *v1alpha1.S3Import) {
	s.T.Helper()
	s.Await("S3Import "+i.Name+" to be gone with its pods", func() error {
		err := s.World.Client.Get(s.T.Context(), client.ObjectKeyFromObject(i), &v1alpha1.S3Import{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there (%w)", err)
		}
		var pods corev1.PodList
		err = s.World.Client.List(s.T.Context(), &pods, client.InNamespace(s.Namespace),
			client.MatchingLabels{v1alpha1.LabelImportUID: string(i.UID)})
		if err == nil && len(pods.Items) > 0 {
			err = fmt.Errorf("pod %s is there", pods.Items[0].Name)
		}
		return err
	})
}

// ImportsOf are the S3Imports of a claim that somebody asked for.
func (s *Story) ImportsOf(claim string) (found []v1alpha1.S3Import, err error) {
	var all v1alpha1.S3ImportList
	err = s.World.Client.List(s.T.Context(), &all, client.InNamespace(s.Namespace))
	for n := range all.Items {
		if i := all.Items[n]; i.Spec.ClaimName == claim && !i.IsRecord() {
			found = append(found, i)
		}
	}
	return found, err
}

// Follow makes a pod that reads the files of a claim again and again, and waits until it has read so many; what is
// returned ends it, and is what it printed.
func (s *Story) Follow(name, claim string, files int) (end func() string) {
	s.T.Helper()
	stop := MountPath + "/.end"
	pod := s.pod(name, PodSpec(claim, false, false, "follow", MountPath, stop))
	s.Await(fmt.Sprintf("pod %s to read %d files", name, files), func() error {
		text, err := s.World.Kube.CoreV1().Pods(s.Namespace).GetLogs(name, &corev1.PodLogOptions{}).DoRaw(s.T.Context())
		if lines := bytes.Count(text, []byte("\n")); err != nil || lines < files {
			return fmt.Errorf("it has read %d (%w)\n%s", lines, err, s.World.describePod(s.T.Context(), s.lastSeen(pod)))
		}
		return nil
	})
	return func() string {
		s.Output("ends-"+name, claim, "append", stop, "x")
		text := s.output(pod)
		s.Delete(pod)
		s.Gone(pod)
		return string(text)
	}
}

// deleteImports deletes those that users made: the others go with their claims.
func (s *Story) deleteImports(ctx context.Context) {
	var all v1alpha1.S3ImportList
	if err := s.World.Client.List(ctx, &all, client.InNamespace(s.Namespace)); err != nil {
		s.T.Errorf("list imports: %v", err)
	}
	for n := range all.Items {
		s.deleteUnlessOurs(ctx, &all.Items[n])
	}
}

// describeImport is for describeNamespace.
func describeImport(out io.Writer, i *v1alpha1.S3Import) {
	if !i.IsRecord() {
		_, _ = fmt.Fprintf(
			out,
			"S3Import %s was asked for: failures %d, disruptions %d, waits %d, unchanged %d, removed %d\n",
			i.Name,
			i.Status.Failures,
			i.Status.Disruptions,
			i.Status.Waits,
			i.Status.UnchangedObjects,
			i.Status.RemovedFiles,
		)
	}
}
