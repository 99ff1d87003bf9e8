// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/csi/fault"
)

// Disturb makes the CSI driver disturb this story's volumes until Undisturb or its end.
func (s *Story) Disturb(r fault.Rule) (id string) {
	s.T.Helper()
	id, err := s.World.Faults.Add(s.T.Context(), r.In(s.Namespace))
	s.must("disturb the CSI driver", err)
	return id
}

// Undisturb ends a disturbance; what it held goes on.
func (s *Story) Undisturb(id string) {
	s.T.Helper()
	s.must("end a disturbance", s.World.Faults.Remove(s.T.Context(), id))
}

// Calls waits until the CSI driver has seen such calls for this story.
func (s *Story) Calls(condition func(map[string]fault.Count) bool) {
	s.T.Helper()
	ctx, cancel := context.WithTimeout(s.T.Context(), patience)
	defer cancel()
	s.must("wait for calls of the CSI driver", s.World.Faults.Wait(ctx, s.Namespace, condition))
}

// Find reads an object live.
func (s *Story) Find(o client.Object) error {
	return s.World.Client.Get(s.T.Context(), client.ObjectKeyFromObject(o), o)
}

// Gone waits until an object does not exist; one of its name with another UID is another.
func (s *Story) Gone(o client.Object) {
	s.T.Helper()
	uid := o.GetUID()
	s.Await(fmt.Sprintf("%T %s to be gone", o, o.GetName()), func() error {
		now := o.DeepCopyObject().(client.Object)
		err := s.Find(now)
		if apierrors.IsNotFound(err) || err == nil && now.GetUID() != uid {
			return nil
		}
		return errors.Join(errors.New("it is still there"), err)
	})
}

// Remove deletes an object of the cluster, also after the test's context has ended.
func (s *Story) Remove(o client.Object) {
	s.T.Helper()
	if err := client.IgnoreNotFound(s.World.Client.Delete(context.Background(), o)); err != nil {
		s.T.Errorf("delete %T %s: %v", o, o.GetName(), err)
	}
}

// NothingMade asserts that a claim has neither prime nor mover.
func (s *Story) NothingMade(claim *corev1.PersistentVolumeClaim) {
	s.T.Helper()
	s.Await("nothing of ours to be left of claim "+claim.Name, func() error {
		return s.made(claim)
	})
}

// NeverMade asserts that the manager never made anything for a claim, not even for a moment.
func (s *Story) NeverMade(claim *corev1.PersistentVolumeClaim) {
	s.T.Helper()
	requests, err := s.World.Requests()
	s.must("read what the manager did", err)
	for _, r := range requests {
		if r.Verb == "create" && r.Namespace == s.Namespace && r.Group != "events.k8s.io" &&
			strings.Contains(r.Name, string(claim.UID)) {
			s.T.Errorf("the manager created %s %s", r.Resource.Name, r.Name)
		}
	}
	s.must("look for what was made", s.made(claim))
}

// made tells what exists for a claim.
func (s *Story) made(claim *corev1.PersistentVolumeClaim) error {
	err := s.Find(
		&corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "s3prime-" + string(claim.UID)},
		},
	)
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("claim %s has a prime (error: %w)", claim.Name, err)
	}
	if pods := s.pods(v1alpha1.RolePopulate, claim.UID); len(pods) > 0 {
		return fmt.Errorf("claim %s has mover %s", claim.Name, pods[0].Name)
	}
	return nil
}

// Evict asks for a pod's eviction, as draining a node does.
func (s *Story) Evict(pod *corev1.Pod) {
	s.T.Helper()
	s.must("evict "+pod.Name, s.World.Client.SubResource("eviction").Create(s.T.Context(), pod, &policyv1.Eviction{
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace},
	}))
}

// Interrupt evicts a mover and waits until it is gone. The claim then warns of that, unless the mover took so long to
// end that the next one may start at once: it waits 10 s from when the manager saw the eviction.
func (s *Story) Interrupt(mover *corev1.Pod) {
	s.T.Helper()
	const soon = 7 * time.Second // Less than the 10 s, for what the manager sees later than the story.
	began := time.Now()
	s.Evict(mover)
	s.Gone(mover)
	if time.Since(began) < soon {
		s.Warnings = append(s.Warnings, "Interrupted")
	} else {
		s.MayWarn = append(s.MayWarn, "Interrupted")
	}
}

// Scale changes how many replicas a StatefulSet has.
func (s *Story) Scale(set *appsv1.StatefulSet, replicas int32) {
	s.T.Helper()
	Update(s, set, func(o *appsv1.StatefulSet) { o.Spec.Replicas = new(replicas) })
}

// QuotaCounts waits until a quota is enforced: its first count is made.
func (s *Story) QuotaCounts(quota *corev1.ResourceQuota) {
	s.T.Helper()
	s.Await("quota "+quota.Name+" to count", func() error {
		now := quota.DeepCopy()
		if err := s.Find(now); err != nil {
			return err
		}
		if len(now.Status.Hard) == 0 {
			return errors.New("it does not")
		}
		return nil
	})
}
