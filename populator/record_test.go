// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/protocol"
)

// A user's S3Import that has the name of a record is neither believed nor written: the claim is filled all the same.
func TestAUsersImportIsNoRecord(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.S3Import){
		"without labels": func(i *v1alpha1.S3Import) { i.Labels = nil },
		"of a token": func(i *v1alpha1.S3Import) {
			i.Labels[v1alpha1.LabelRole] = v1alpha1.RoleImport
		},
		"of nobody's claim": func(i *v1alpha1.S3Import) { i.OwnerReferences = nil },
	} {
		t.Run(name, func(t *testing.T) {
			sim := newSimulator(t)
			claim := world().Claim
			theirs := protocol.ImportFor(claim)
			change(theirs)
			theirs.Status.Attempts = 7
			sim.must(sim.api.Create(t.Context(), theirs))
			r := &Reconciler{Client: interceptor.NewClient(sim.api, interceptor.Funcs{}), Live: sim.api, Options: testOptions()}
			s, err := r.observe(t.Context(), claim)
			sim.must(err)
			if s.Import != nil {
				t.Errorf("it is taken for the record of the claim: %+v", s.Import)
			}
		})
	}
	sim := newSimulator(t)
	claim := world().Claim
	sim.must(sim.api.Create(t.Context(), protocol.ImportFor(claim)))
	r := &Reconciler{Client: sim.api, Live: sim.api, Options: testOptions()}
	s, err := r.observe(t.Context(), claim)
	sim.must(err)
	if s.Import == nil || !metav1.IsControlledBy(s.Import, claim) {
		t.Errorf("the record %s of claim %s is not found", protocol.ImportName(claim), client.ObjectKeyFromObject(claim))
	}
}
