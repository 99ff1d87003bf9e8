// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// claimedVolumes answers, from the API server itself, whether any volume names a claim. Its
// zero value is ready for use.
type claimedVolumes struct{ list sharedList[types.UID] }

func (c *claimedVolumes) has(ctx context.Context, from client.Reader, claim types.UID) (bool, error) {
	return c.list.has(ctx, from, claimsOfVolumes, claim)
}

// claimsOfVolumes are the UIDs in the claimRefs of all volumes.
func claimsOfVolumes(ctx context.Context, from client.Reader) (map[types.UID]struct{}, error) {
	claims := map[types.UID]struct{}{}
	var page corev1.PersistentVolumeList
	return claims, eachPage(ctx, from, &page, func() {
		for i := range page.Items {
			if ref := page.Items[i].Spec.ClaimRef; ref != nil && ref.UID != "" {
				claims[ref.UID] = struct{}{}
			}
		}
		page.Items = nil
	})
}
