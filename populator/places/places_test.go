// SPDX-License-Identifier: Apache-2.0

package places

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/queue"
)

// countedCache has one mover that runs, and counts who lists it.
type countedCache struct {
	client.Reader

	lists int
}

func (c *countedCache) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	c.lists++
	pod := corev1.Pod{}
	pod.Namespace, pod.Spec.NodeName = "team", "node"
	pod.Labels = map[string]string{v1alpha1.LabelRole: v1alpha1.RolePopulate, v1alpha1.LabelClaimUID: "first"}
	into.(*corev1.PodList).Items = []corev1.Pod{pod}
	return nil
}

// Every mover that ends would list all of them, twice, though nobody waits for its place.
func TestNobodyIsWokenWhereNobodyWaits(t *testing.T) {
	t.Parallel()
	cache := &countedCache{}
	office := Office{Queue: queue.New(queue.Caps{Cluster: 1}, time.Now), Cache: cache, Now: time.Now}
	next := office.Waiting(v1alpha1.RolePopulate)
	if got := next(t.Context(), nil); len(got) > 0 || cache.lists > 0 {
		t.Errorf("an empty queue: woke %v after %d lists", got, cache.lists)
	}
	second := queue.Request{
		Use: queue.Use{UID: "second", Namespace: "team", Places: 1}, Role: v1alpha1.RolePopulate,
		Name: types.NamespacedName{Namespace: "team", Name: "second"},
	}
	if p, err := office.Ask(t.Context(), second); err != nil || p == nil {
		t.Fatalf("a second mover: %v, %v", p, err)
	}
	cache.lists = 0
	next(t.Context(), nil)
	if cache.lists != 1 {
		t.Errorf("somebody waits: %d lists, want 1", cache.lists)
	}
}
