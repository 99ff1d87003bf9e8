// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// testReplace: a run that has not ended goes for the next one, by the rights of the manager, and those that have stay.
func (w *world) testReplace(t *testing.T) {
	p := &v1alpha1.S3ExportPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "hourly"}}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"concurrencyPolicy":"Replace"}}`))
	if err := w.Patch(t.Context(), p, patch); err != nil {
		t.Fatal(err)
	}
	ended := len(w.exports(t, "a"))
	var before, active types.UID
	for round := range 3 {
		w.clock.Store(w.now().Truncate(time.Hour).Add(time.Hour).Unix())
		w.annotate(t, "a", "labels", fmt.Sprintf(`{"wake":"replace-%d"}`, round))
		w.await(t, "a run in the place of the one before", func() error {
			all := w.exports(t, "a")
			for i := range all {
				if len(all[i].Status.Conditions) == 0 {
					active = all[i].UID
				}
			}
			if len(all) != ended+1 || active == before {
				return fmt.Errorf("there are %d runs, and before there were %d that have ended", len(all), ended)
			}
			return nil
		})
		before = active
	}
}
