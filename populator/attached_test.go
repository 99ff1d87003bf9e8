// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"errors"
	"testing"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/protocol"
)

// A mover was deleted by force, and our watch of attachments stands still: the next mover
// would write beside it. The first mover of a volume needs no such look.
func TestNoMoverFollowsAnotherThatIsAttached(t *testing.T) {
	for name, c := range map[string]struct {
		attempts string
		volume   string
		stale    bool
	}{
		"attached for an earlier mover": {`{"movers":1,"mover":"gone"}`, "pv-1", true},
		"another volume is":             {`{"movers":1,"mover":"gone"}`, "pv-2", false},
		"there was no mover":            {``, "pv-1", false},
	} {
		t.Run(name, func(t *testing.T) {
			sim := newSimulator(t)
			s := emptyPrime(t, sim)
			s.Prime.Annotations[v1alpha1.AnnotationAttempts] = c.attempts
			sim.must(
				sim.api.Create(
					t.Context(),
					&storagev1.VolumeAttachment{ObjectMeta: metav1.ObjectMeta{Name: "csi-a"}, Spec: storagev1.VolumeAttachmentSpec{
						NodeName: "a", Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &c.volume},
					}},
				),
			)
			r := &Reconciler{Client: sim.api, Live: sim.api, Options: testOptions()}
			_, err := r.act(t.Context(), s, protocol.Decision{Action: protocol.StartMover})
			if errors.Is(err, errStale) != c.stale || err != nil && !c.stale {
				t.Errorf("error %v", err)
			}
			if made := len(sim.pods()) > 0; made == c.stale {
				t.Errorf("a mover was made: %v", made)
			}
		})
	}
}
