// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"fmt"

	storagev1 "k8s.io/api/storage/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/populator/protocol"
)

// attachedVolumes answers, from the API server itself, whether a volume is attached to any
// node. Its zero value is ready for use.
type attachedVolumes struct{ list sharedList[string] }

func (a *attachedVolumes) has(ctx context.Context, from client.Reader, volume string) (bool, error) {
	return a.list.has(ctx, from, namesOfAttached, volume)
}

func namesOfAttached(ctx context.Context, from client.Reader) (map[string]struct{}, error) {
	volumes := map[string]struct{}{}
	var page storagev1.VolumeAttachmentList
	return volumes, eachPage(ctx, from, &page, func() {
		for i := range page.Items {
			if name := attachedVolume(&page.Items[i]); name != "" {
				volumes[name] = struct{}{}
			}
		}
		page.Items = nil
	})
}

// detached asks the API server before a mover that follows another one: our watch of
// attachments may be behind that of pods, and show none where the earlier mover still writes.
func (r *Reconciler) detached(ctx context.Context, s protocol.State) error {
	if !protocol.HadMover(s) {
		return nil
	}
	attached, err := r.attached.has(ctx, r.Live, s.PrimeVolume.Name)
	if err != nil {
		return fmt.Errorf("list attachments: %w", err)
	}
	if attached {
		return errStale
	}
	return nil
}
