// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// RestartManager replaces every replica, as an upgrade does, and returns the names of those that were there before.
func (s *Story) RestartManager() (before map[string]bool) {
	s.T.Helper()
	ctx, cancel := context.WithTimeout(s.T.Context(), patience)
	defer cancel()
	before = s.ManagerPods()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: SystemNamespace, Name: ManagerName}}
	Update(s, d, func(d *appsv1.Deployment) {
		d.Spec.Template.Annotations["e2e/restarted"] = time.Now().Format(time.RFC3339Nano)
	})
	s.must("wait for the new manager", s.World.awaitManager(ctx))
	return before
}

// Reviewed waits until the API server has claims reviewed: where all replicas are new, or the webhook is, its view of
// them and kube-proxy's follow a moment later.
func (s *Story) Reviewed() {
	s.T.Helper()
	claim := s.NewClaim(Claim{Annotations: map[string]string{v1alpha1.AnnotationSource: "source"}})
	claim.Namespace = metav1.NamespaceDefault // The story's own may be exempt.
	s.Await("claims to be reviewed", func() error { return s.Selected(claim) })
}

// ScaleManager changes the number of replicas and waits until as many are ready and review claims, or none is left.
func (s *Story) ScaleManager(replicas int32) {
	s.T.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: SystemNamespace, Name: ManagerName}}
	Update(s, d, func(d *appsv1.Deployment) { d.Spec.Replicas = new(replicas) })
	s.Await(
		fmt.Sprintf("%d replicas of the manager", replicas),
		func() error { return s.World.managerAvailable(s.T.Context()) },
	)
	if replicas > 0 {
		s.Reviewed()
		return
	}
	s.Await("the manager's pods to go", func() error {
		var pods corev1.PodList
		err := s.World.Client.List(s.T.Context(), &pods, client.InNamespace(SystemNamespace))
		if err == nil && len(pods.Items) > 0 {
			err = fmt.Errorf("pod %s is still there", pods.Items[0].Name)
		}
		return err
	})
}

// InventoryGone waits until no pod lists a source of this story: then the manager is at
// rest about it.
func (s *Story) InventoryGone() {
	s.T.Helper()
	s.Await("the inventory pods to be gone", func() error {
		var pods corev1.PodList
		err := s.World.Client.List(
			s.T.Context(),
			&pods,
			client.InNamespace(s.Namespace),
			client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.RoleInventory},
		)
		if err == nil && len(pods.Items) > 0 {
			err = fmt.Errorf("pod %s is still there", pods.Items[0].Name)
		}
		return err
	})
}

// UntouchedByManager asserts that the manager has written nothing about this namespace, events and the volumes of its
// claims included.
func (s *Story) UntouchedByManager() {
	s.T.Helper()
	s.UntouchedButBy(nil)
}

// UntouchedButBy asserts the same of all replicas but those with these names. What they began they may end, also after
// others are there.
func (s *Story) UntouchedButBy(replicas map[string]bool) {
	s.T.Helper()
	requests, err := s.World.Requests()
	s.must("read what the manager did", err)
	volumes := s.World.Seen.volumesOf(s.Namespace)
	looked := false
	for _, r := range requests {
		if replicas[r.pod] {
			continue
		}
		looked = looked || r.pod != ""
		about := r.Namespace == s.Namespace || r.Namespace == "" && r.Resource.Name == "persistentvolumes" && volumes[r.Name]
		if r.Write() && about {
			s.T.Errorf("the manager wrote: %s %s %s", r.Verb, r.Resource.Name, r.Name)
		}
	}
	if !looked {
		s.T.Error("the audit log has nothing of these replicas of the manager")
	}
}

// UnwrittenByManager asserts that the manager never wrote to an object.
func (s *Story) UnwrittenByManager(o client.Object) {
	s.T.Helper()
	requests, err := s.World.Requests()
	s.must("read what the manager did", err)
	for _, r := range requests {
		if r.Write() && r.Namespace == o.GetNamespace() && r.Name == o.GetName() {
			s.T.Errorf("the manager wrote: %s %s %s", r.Verb, r.Resource.Name, r.Name)
		}
	}
}
