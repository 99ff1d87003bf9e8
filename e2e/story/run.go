// SPDX-License-Identifier: Apache-2.0

package story

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// Mover waits until the mover of a claim runs a process of that name: "mc" once it moves
// bytes.
func (s *Story) Mover(claim *corev1.PersistentVolumeClaim, process string) *corev1.Pod {
	s.T.Helper()
	pod := &corev1.Pod{}
	s.Await(fmt.Sprintf("the mover of claim %s to run %s", claim.Name, process), func() error {
		if !seen(s.World.Seen, s.Namespace, moverpod.PopulatorName(string(claim.UID)), pod) {
			return errors.New("there is no mover")
		}
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			return fmt.Errorf("%w: %s", errNever, s.World.describePod(s.T.Context(), pod))
		}
		if !s.Running(pod.UID, process) {
			return errors.New(s.World.describePod(s.T.Context(), pod))
		}
		return nil
	})
	return pod
}

// Filling waits until the manager knows that the mover of a claim runs, too: the kubelet tells of a container a second
// or two after its processes are there, and a pod that has not started, as the manager knows, may be made anew.
func (s *Story) Filling(claim *corev1.PersistentVolumeClaim) {
	s.T.Helper()
	s.Await(fmt.Sprintf("the S3Import of claim %s to be Running", claim.Name), func() error {
		told := s.World.Seen.Imports(claim.Namespace, claim.Name)
		if slices.ContainsFunc(told, func(st v1alpha1.S3ImportStatus) bool { return st.Phase == v1alpha1.ImportRunning }) {
			return nil
		}
		return fmt.Errorf("it was not, in %d states", len(told))
	})
}

// ProgressOf is what a mover has told so far.
func (s *Story) ProgressOf(mover *corev1.Pod) (p wire.Snapshot) {
	s.T.Helper()
	now := &corev1.Pod{}
	if !seen(s.World.Seen, mover.Namespace, mover.Name, now) || now.UID != mover.UID {
		s.T.Fatalf("mover %s is gone", mover.Name)
	}
	if text := now.Annotations[v1alpha1.AnnotationProgress]; text != "" {
		s.must("read the progress of "+mover.Name, json.Unmarshal([]byte(text), &p))
	}
	return p
}

// Moved waits until a mover tells that so many bytes are there, and returns how many are.
func (s *Story) Moved(mover *corev1.Pod, bytes int64) (done int64) {
	s.T.Helper()
	s.Await(fmt.Sprintf("%d bytes to be there", bytes), func() error {
		if done = s.ProgressOf(mover).BytesDone; done < bytes {
			return fmt.Errorf("%d are", done)
		}
		return nil
	})
	return done
}

// FetchedTheRest asserts that the mover which filled a claim, and fetched bytes as S3 saw it, did not begin
// from zero although the one before it had done bytes of all, and that it told how many it fetched.
func (s *Story) FetchedTheRest(claim *corev1.PersistentVolumeClaim, fetched, done, all int64) {
	s.T.Helper()
	if told := s.Report(claim).FetchedBytes; told == 0 || told > fetched || told < fetched/2 {
		s.T.Errorf("the second mover told that it fetched %d bytes, and S3 saw %d", told, fetched)
	}
	if again := done + fetched - all; again >= done/2 {
		s.T.Errorf(
			"the first mover had %d bytes when it ended; the second fetched %d of %d, so %d again",
			done,
			fetched,
			all,
			again,
		)
	}
}

// PrimeOf is a claim's prime, which must be there. It is read live: who has seen its mover need not have seen it.
func (s *Story) PrimeOf(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	s.T.Helper()
	prime := &corev1.PersistentVolumeClaim{}
	prime.Namespace, prime.Name = s.Namespace, "s3prime-"+string(claim.UID)
	s.must("read the prime of claim "+claim.Name, s.Find(prime))
	return prime
}

// Import is the S3Import of a claim, when it has ended.
func (s *Story) Import(claim *corev1.PersistentVolumeClaim) *v1alpha1.S3Import {
	s.T.Helper()
	var found *v1alpha1.S3Import
	s.Await(fmt.Sprintf("the import of claim %s to end", claim.Name), func() error {
		var all v1alpha1.S3ImportList
		err := s.World.Client.List(s.T.Context(), &all, client.InNamespace(s.Namespace),
			client.MatchingLabels{v1alpha1.LabelClaimUID: string(claim.UID)})
		if err != nil {
			return err
		}
		all.Items = slices.DeleteFunc(all.Items, func(i v1alpha1.S3Import) bool { return !i.IsRecord() })
		if len(all.Items) != 1 {
			return fmt.Errorf("there are %d", len(all.Items))
		}
		found = &all.Items[0]
		if phase := found.Status.Phase; phase != v1alpha1.ImportSucceeded && phase != v1alpha1.ImportFailed {
			return fmt.Errorf("it is %s", phase)
		}
		return nil
	})
	return found
}

// Report is the last word of the mover that filled a claim.
func (s *Story) Report(claim *corev1.PersistentVolumeClaim) wire.Report {
	s.T.Helper()
	var stored struct {
		At     time.Time
		Report wire.Report
	}
	s.must("read the report on claim "+claim.Name, json.Unmarshal([]byte(s.World.Seen.result(claim.UID)), &stored))
	return stored.Report
}
