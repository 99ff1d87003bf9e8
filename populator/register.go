// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// populatorKind is the advisory register that volume-data-source-validator reads; without
// an entry it warns on every claim of ours. The CRD is often not installed, which is fine.
var populatorKind = schema.GroupVersionKind{
	Group:   "populator.storage.k8s.io",
	Version: "v1beta1",
	Kind:    "VolumePopulator",
}

// +kubebuilder:rbac:groups=populator.storage.k8s.io,resources=volumepopulators,verbs=create

// Registration makes our VolumePopulator once, at start, where the CRD exists.
type Registration struct{ Client client.Client }

// NeedLeaderElection keeps it to one replica.
func (Registration) NeedLeaderElection() bool { return true }

// Start never fails the manager: the register is advisory.
func (g Registration) Start(ctx context.Context) error {
	if err := g.register(ctx); err != nil {
		log.FromContext(ctx).Error(err, "Cannot register as a volume populator; populating works all the same")
	}
	return nil
}

func (g Registration) register(ctx context.Context) error {
	entry := &unstructured.Unstructured{Object: map[string]any{
		"sourceKind": map[string]any{"group": v1alpha1.Group, "kind": v1alpha1.KindS3Source},
	}}
	entry.SetGroupVersionKind(populatorKind)
	entry.SetName("s3source." + v1alpha1.Group)
	err := g.Client.Create(ctx, entry)
	if err == nil || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil
	}
	return fmt.Errorf("create VolumePopulator: %w", err)
}
