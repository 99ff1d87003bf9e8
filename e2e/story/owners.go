// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// ownersKnown is an error while the admission plugin that asks who may block an owner's deletion does not know our
// kinds. It learns of new ones every 30 s, and refuses what they own until then: the manager would be refused in
// the first story.
func (w *World) ownersKnown(ctx context.Context) error {
	for _, kind := range []string{
		v1alpha1.KindS3Source, v1alpha1.KindS3Import, v1alpha1.KindS3Export, "S3ExportPolicy",
	} {
		owned := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceDefault, Name: "owned",
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion.String(), Kind: kind, Name: "nobody", UID: "nobody",
				BlockOwnerDeletion: new(true),
			}},
		}}
		if err := w.Client.Create(ctx, owned, client.DryRunAll); err != nil {
			return fmt.Errorf("make something that a %s owns: %w", kind, err)
		}
	}
	return nil
}
