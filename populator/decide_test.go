// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// want is what a case pins down of a decision; Says must be in the message.
type want struct {
	Action action
	Status corev1.ConditionStatus
	Reason v1alpha1.Reason
}

func TestDecide(t *testing.T) {
	late := corev1.ConditionUnknown
	cases := map[string]struct {
		in   state
		want want
		says string
	}{
		"a new claim gets a prime":                             {world(), want{Action: createPrime}, ""},
		"a claim without a source waits for it":                {world(noSource), want{wait, late, v1alpha1.ReasonSourceNotFound}, "Create it"},
		"a free volume may fit a claim that is new":            {world(unsearched, newClaim), want{Action: wait}, ""},
		"a free volume may still fit":                          {world(unsearched), want{wait, late, v1alpha1.ReasonProvisioning}, "free volume"},
		"a late claim that is filled now is not searched for":  {world(unsearched, lateClass, bindNow), want{Action: createPrime}, ""},
		"a volume made by hand is left alone":                  {world(boundPrime, retained, madeByHand), want{wait, "False", v1alpha1.ReasonBoundElsewhere}, "pv-1"},
		"a new claim's source may come a moment later":         {world(noSource, newClaim), want{Action: wait}, ""},
		"a new claim's class may come a moment later":          {world(noClass, newClaim), want{Action: wait}, ""},
		"a claim without a class waits for one":                {world(noClass), want{wait, late, v1alpha1.ReasonStorageClassNotFound}, "fast"},
		"a claim that names no class waits for a default":      {world(unsetClass), want{wait, late, v1alpha1.ReasonStorageClassUnset}, "default"},
		"a claim that wants no provisioning is refused":        {world(emptyClass), want{wait, "False", v1alpha1.ReasonUnsupportedClass}, "storageClassName"},
		"a provisioner that is not CSI is refused":             {world(noCSI), want{wait, "False", v1alpha1.ReasonUnsupportedClass}, "CSIDriver"},
		"volumes made by hand are refused":                     {world(class(storagev1.VolumeBindingImmediate, noProvisioner)), want{wait, "False", v1alpha1.ReasonUnsupportedClass}, "by hand"},
		"a built-in provisioner is refused":                    {world(class(storagev1.VolumeBindingImmediate, "kubernetes.io/gce-pd")), want{wait, "False", v1alpha1.ReasonUnsupportedClass}, "built in"},
		"a selector is refused":                                {world(selector), want{wait, "False", v1alpha1.ReasonUnsupportedClaim}, "spec.selector"},
		"a source of another namespace is refused":             {world(foreignRef), want{wait, "False", v1alpha1.ReasonUnsupportedClaim}, "dataSourceRef.namespace"},
		"a device of a whole prefix is refused":                {world(blockMode), want{wait, "False", v1alpha1.ReasonUnsupportedClaim}, "exactly one object"},
		"a growing claim waits for the inventory":              {world(growing), want{wait, late, v1alpha1.ReasonInventoryPending}, "models"},
		"admission lets a claim grow":                          {world(growTo), want{wait, late, v1alpha1.ReasonInventoryPending}, "models"},
		"a growing claim with an inventory gets a prime":       {world(growing, inventory), want{Action: createPrime}, ""},
		"a late class waits for a consumer":                    {world(lateClass), want{wait, late, v1alpha1.ReasonWaitForFirstConsumer}, "s3populator.io/bind=Immediate"},
		"a late class with a node gets a prime":                {world(lateClass, claimNode), want{Action: createPrime}, ""},
		"a late class does not wait when told not to":          {world(lateClass, bindNow), want{Action: createPrime}, ""},
		"an unbound prime is waited for silently at first":     {world(withPrime), want{Action: wait}, ""},
		"an unbound prime is explained later":                  {world(oldPrime), want{wait, late, v1alpha1.ReasonProvisioning}, "s3prime-" + claimUID},
		"a prime that lost its node frees the claim's":         {world(lateClass, claimNode, primeLostNode), want{releaseNode, late, v1alpha1.ReasonRescheduling}, "node a"},
		"a prime that lost its node gets the new one":          {world(lateClass, otherNode, primeLostNode), want{Action: selectNode}, ""},
		"a prime's node is never overwritten":                  {world(lateClass, otherNode, primeOnNode), want{Action: wait}, ""},
		"a foreign object under the prime's name is reported":  {world(foreignPrime), want{wait, "False", v1alpha1.ReasonPrimeConflict}, "Delete it"},
		"a retained volume becomes scratch first":              {world(boundPrime, retained), want{Action: markScratch}, ""},
		"a bound prime gets a mover":                           {world(boundPrime), want{Action: startMover}, ""},
		"a mover corrects what was said before":                {world(boundPrime, toldToWait), want{startMover, late, v1alpha1.ReasonPopulating}, "populate-" + claimUID},
		"a mover needs the source":                             {world(boundPrime, noSource), want{wait, late, v1alpha1.ReasonSourceNotFound}, ""},
		"a mover is the consumer of an unbound late prime":     {world(lateClass, bindNow, withPrime), want{Action: startMover}, ""},
		"a running mover is waited for silently at first":      {world(boundPrime, runningMover), want{Action: wait}, ""},
		"a running mover corrects what was said before":        {world(boundPrime, runningMover, toldToWait), want{wait, late, v1alpha1.ReasonPopulating}, "s3imports"},
		"a mover that runs for long is told of":                {world(boundPrime, longMover), want{wait, late, v1alpha1.ReasonPopulating}, "s3imports"},
		"a running mover needs no source":                      {world(boundPrime, longMover, noSource), want{wait, late, v1alpha1.ReasonPopulating}, ""},
		"a mover that cannot start is explained":               {world(boundPrime, oldPendingMover), want{wait, late, v1alpha1.ReasonMoverPending}, "no such disk"},
		"success is written to the prime":                      {world(boundPrime, doneMover), want{Action: markPopulated}, ""},
		"success needs no source":                              {world(boundPrime, doneMover, noSource, noClass), want{Action: markPopulated}, ""},
		"exit 0 without a report is a failure":                 {world(boundPrime, silentMover), want{Action: recordFailure}, ""},
		"a report that contradicts the exit code is a failure": {world(boundPrime, lyingMover), want{Action: recordFailure}, ""},
		"a failure is written to the prime":                    {world(boundPrime, retryMover), want{Action: recordFailure}, ""},
		"a failure backs off":                                  {world(failedBefore(false, noon.Add(-time.Second)), retryMover), want{wait, late, v1alpha1.Reason(wire.AccessDenied)}, "12:00:09"},
		"after the back-off the failed mover goes":             {world(failedBefore(false, noon.Add(-time.Minute)), retryMover), want{Action: deleteMover}, ""},
		"after the failed mover is gone the next begins":       {world(failedBefore(false, noon.Add(-time.Minute)), toldToWait), want{startMover, late, v1alpha1.ReasonPopulating}, ""},
		"a final failure stays":                                {world(failedBefore(true, noon.Add(-time.Hour)), userMover), want{wait, "False", v1alpha1.Reason(wire.AccessDenied)}, "s3populator.io/retry"},
		"a final failure stays without its pod and source":     {world(failedBefore(true, noon.Add(-time.Hour)), noSource), want{wait, "False", v1alpha1.Reason(wire.AccessDenied)}, ""},
		"a changed source ends a final failure":                {world(failedBefore(true, noon), userMover, otherSpec), want{Action: deleteMover}, ""},
		"a filled prime loses its mover first":                 {world(filledPrime, doneMover), want{Action: deleteMover}, ""},
		"a filled prime waits for its mover to go":             {world(filledPrime, deletingMover), want{Action: wait}, ""},
		"a filled prime is rebound":                            {world(filledPrime), want{Action: rebind}, ""},
		"a filled prime needs neither source nor class":        {world(filledPrime, noSource, noClass), want{Action: rebind}, ""},
		"a volume that is too small is not rebound":            {world(filledPrime, tooSmall), want{wait, "False", v1alpha1.ReasonRebindBlocked}, "1Mi"},
		"a volume of another attributes class is not rebound":  {world(filledPrime, otherVAC), want{wait, "False", v1alpha1.ReasonRebindBlocked}, "gold"},
		"a stolen volume is not rebound":                       {world(filledPrime, stolen), want{wait, "False", v1alpha1.ReasonRebindBlocked}, "changed by someone else"},
		"an unclaimed volume is not rebound":                   {world(filledPrime, unclaimed), want{wait, "False", v1alpha1.ReasonRebindBlocked}, "changed by someone else"},
		"a volume that is deleted is not rebound":              {world(filledPrime, volumeGoes), want{wait, "False", v1alpha1.ReasonRebindBlocked}, "being deleted"},
		"a deleted prime is never rebound":                     {world(filledPrime, deletingPrime), want{wait, late, v1alpha1.ReasonProvisioning}, "deleted by someone else"},
		"a lost prime is replaced":                             {world(lostPrime), want{deletePrime, late, v1alpha1.ReasonProvisioning}, "begins again"},
		"a mover without a prime goes before a new prime":      {world(runningMover), want{Action: deleteMover}, ""},
		"between rebind and bind nothing is made":              {world(rebound), want{Action: wait}, ""},
		"a claim that is being bound is waited for":            {world(bindingToOurs), want{Action: wait}, ""},
		"one that is bound slowly is told so":                  {world(bindingToOurs, slowBinder), want{wait, late, v1alpha1.ReasonRebinding}, ""},
		"a bound claim is told of before its prime goes":       {world(filledPrime, boundToOurs), want{wait, "True", v1alpha1.ReasonPopulated}, "7 objects"},
		"then its prime goes":                                  {world(filledPrime, boundToOurs, toldOfSuccess), want{Action: deletePrime}, ""},
		"then nothing is done any more":                        {world(boundToOurs, toldOfSuccess), want{Action: wait}, ""},
		"a missing source does not block clean-up":             {world(filledPrime, boundToOurs, toldOfSuccess, noSource, noClass), want{Action: deletePrime}, ""},
		"a claim bound elsewhere is reported":                  {world(boundElsewhere), want{wait, "False", v1alpha1.ReasonBoundElsewhere}, "not filled"},
		"a claim bound elsewhere loses its mover":              {world(boundPrime, runningMover, boundElsewhere), want{deleteMover, "False", v1alpha1.ReasonBoundElsewhere}, ""},
		"a deleted claim loses its mover first":                {world(boundPrime, runningMover, deleting), want{Action: deleteMover}, ""},
		"then its prime":                                       {world(boundPrime, deleting), want{Action: deletePrime}, ""},
		"a deleted claim needs neither source nor class":       {world(boundPrime, deleting, noSource, noClass), want{Action: deletePrime}, ""},
		"then nothing": {world(deleting), want{Action: wait}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := decide(c.in)
			if diff := cmp.Diff(c.want, want{d.Action, d.Status, d.Reason}); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			if !strings.Contains(d.Message, c.says) {
				t.Errorf("message %q does not say %q", d.Message, c.says)
			}
		})
	}
}
