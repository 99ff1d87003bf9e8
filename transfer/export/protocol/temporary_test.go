// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

const (
	snapshotOf = v1alpha1.ConsistencySnapshot
	cloneOf    = v1alpha1.ConsistencyClone
)

func class(change func(*storagev1.StorageClass)) change {
	return func(s *State) { change(s.Temporary.Class) }
}

func classes(all ...SnapshotClass) change {
	return func(s *State) { s.Temporary.SnapshotClasses = all }
}

// Each row is one claim about the world of an export that reads a volume of its own.
func TestDecideTemporary(t *testing.T) {
	t.Parallel()
	const prep = v1alpha1.ReasonPreparing
	taken, whole := snapshotted(ready), []change{by(snapshotOf), snapshotted(ready), copied(isBound), onVolume()}
	with := func(all []change, more ...change) State { return world(append(append([]change{}, all...), more...)...) }
	for name, test := range map[string]struct {
		in     State
		want   Action
		reason v1alpha1.Reason
		says   string
	}{
		"what is to be removed is noted first": {world(by(snapshotOf), unguarded), AddFinalizer, "", ""},
		"also of a dry run":                    {world(by(snapshotOf), unguarded, dryRun), AddFinalizer, "", ""},
		"a snapshot is taken":                  {world(by(snapshotOf)), CreateSnapshot, prep, "claim data"},
		"also while there is no place":         {world(by(snapshotOf), queued), CreateSnapshot, prep, ""},
		"it is waited for":                     {world(by(snapshotOf), snapshotted()), Wait, prep, ""},
		"a claim is made of it":                {world(by(snapshotOf), taken), CreateTemporaryClaim, prep, ""},
		"but not while there is no place":      {world(by(snapshotOf), taken, queued), Wait, v1alpha1.ReasonQueued, ""},
		"a clone needs no snapshot":            {world(by(cloneOf)), CreateTemporaryClaim, prep, "clone of claim data"},
		"it is bound by itself":                {world(by(snapshotOf), taken, copied()), Wait, prep, ""},
		"or by a consumer": {
			world(by(snapshotOf), taken, copied(), waitsForPod), StartConsumer, prep, "",
		},
		"whose node the provisioner learns": {world(by(cloneOf), copied(), waitsForPod, consumer()), Wait, prep, ""},
		"that was in vain": {
			world(by(cloneOf), copied(), waitsForPod, consumer(old, reports(done))), DeleteConsumer, prep, "",
		},
		"that has no node": {
			world(by(cloneOf), copied(), waitsForPod, consumer(old, unscheduled)),
			Wait, v1alpha1.ReasonMoverPending, "0/3 nodes",
		},
		"that is somebody's": {
			world(by(cloneOf), copied(), waitsForPod, consumer(foreign)), Wait, v1alpha1.ReasonMoverRefused, "s3consumer-e-1",
		},
		"its consumer is not needed":      {with(whole, waitsForPod, consumer()), DeleteConsumer, prep, ""},
		"it is waited until that is gone": {with(whole, waitsForPod, consumer(deleting)), Wait, prep, ""},
		"a mover reads it":                {with(whole), StartMover, v1alpha1.ReasonExporting, ""},
		"of a clone, too": {
			world(by(cloneOf), copied(isBound), onVolume()), StartMover, v1alpha1.ReasonExporting, "",
		},
		"when there is a place":       {with(whole, queued), Wait, v1alpha1.ReasonQueued, ""},
		"its volume is not there yet": {world(by(cloneOf), copied(isBound)), Wait, prep, ""},
		"the snapshot is not needed any more": {
			world(by(snapshotOf), copied(isBound), onVolume()), StartMover, v1alpha1.ReasonExporting, "",
		},
		"without it nothing fills the claim": {world(by(snapshotOf), copied()), DeleteTemporaryClaim, "", ""},
		"pods that use the claim go on": {
			world(by(cloneOf), access(corev1.ReadWriteOncePod), copied(isBound), onVolume()),
			StartMover, v1alpha1.ReasonExporting, "",
		},
		"also when they come later": {
			with(whole, access(corev1.ReadWriteOncePod), mover(corev1.PodRunning, readsCopy)),
			Wait, v1alpha1.ReasonExporting, "",
		},
		"and when they move": {
			with(whole, users(user("app", "b")), mover(corev1.PodRunning, readsCopy)), Wait, v1alpha1.ReasonExporting, "",
		},
		"the claim may be deleted meanwhile": {
			with(whole, claimDeleted, mover(corev1.PodRunning, readsCopy)), Wait, v1alpha1.ReasonExporting, "",
		},
		"a mover waits for a claim that is gone": {
			world(by(cloneOf), mover(corev1.PodPending, readsCopy, fresh)), DeleteMover, "", "",
		},
		"and that is no failure": {
			world(by(cloneOf), mover(corev1.PodPending, readsCopy, deleting)), Wait, "", "",
		},
		"one that runs keeps it": {
			world(by(cloneOf), mover(corev1.PodRunning, readsCopy)), Wait, v1alpha1.ReasonExporting, "",
		},
		"a claim that lost its volume": {world(by(cloneOf), copied(isLost)), DeleteTemporaryClaim, "", ""},
		"an old one goes first":        {world(by(cloneOf), copied(pvc(going))), Wait, prep, ""},
		"an old snapshot goes first":   {world(by(snapshotOf), snapshotted(snap(going))), Wait, prep, ""},
		"a snapshot of a claim before": {
			world(by(snapshotOf), snapshotted(ready, snap(ofAnother))), DeleteSnapshot, "", "",
		},
		"a clone of a claim before": {world(by(cloneOf), copied(pvc(ofAnother))), DeleteTemporaryClaim, "", ""},

		"no snapshots here": {
			world(by(snapshotOf), noSnapshots), Wait, v1alpha1.ReasonSnapshotsUnavailable, "snapshot.storage.k8s.io",
		},
		"a clone needs none": {world(by(cloneOf), noSnapshots), CreateTemporaryClaim, prep, ""},
		"somebody's snapshot": {
			world(by(snapshotOf), snapshotted(snap(strange))), Wait, v1alpha1.ReasonSnapshotRefused, "s3export-e-1",
		},
		"one of another claim": {
			world(by(snapshotOf), snapshotted(ofAnotherName)), Wait, v1alpha1.ReasonSnapshotRefused, "s3export-e-1",
		},
		"somebody's claim": {
			world(by(cloneOf), copied(pvc(strange))), Wait, v1alpha1.ReasonTemporaryClaimRefused, "s3export-e-1",
		},
		"one with other data": {
			world(by(cloneOf), copied(otherOrigin)), Wait, v1alpha1.ReasonTemporaryClaimRefused, "s3export-e-1",
		},
		"a snapshot fails": {
			world(by(snapshotOf), snapshotted(fails)), Wait, v1alpha1.ReasonSnapshotFailed, "no space",
		},
		"and goes on to": {
			world(by(snapshotOf), snapshotted(fails, snap(aged))), Wait, v1alpha1.ReasonSnapshotFailed, "make a new one",
		},
		"no controller answers": {
			world(by(snapshotOf), snapshotted(madeFor(answerPatience))), Wait, v1alpha1.ReasonSnapshotPending,
			"has no status yet; is a snapshot-controller running? The export fails at 2026-11-26 12:58:00 UTC",
		},
		"it may be a moment late": {
			world(by(snapshotOf), snapshotted(madeFor(answerPatience-time.Second))), Wait, prep, "",
		},
		"no controller answers at all": {
			world(by(snapshotOf), snapshotted(snap(aged))), Wait, v1alpha1.ReasonSnapshotFailed, "make a new one",
		},
		"no driver answers": {
			world(by(snapshotOf), snapshotted(madeFor(answerPatience), hasContent)), Wait, v1alpha1.ReasonSnapshotPending,
			"does CSI driver csi.test run, with its sidecar csi-snapshotter?",
		},
		"no driver answers at all": {
			world(by(snapshotOf), snapshotted(snap(aged), hasContent)), Wait, v1alpha1.ReasonSnapshotFailed, "csi.test",
		},
		"a slow one was taken": {
			world(by(snapshotOf), snapshotted(snap(aged), hasContent, isTaken)), Wait, prep, "csi.test has not made it ready",
		},
		"what was made before is kept": {
			world(by(cloneOf), copied(pvc(goesFor(answerPatience)))), Wait, v1alpha1.ReasonRemovalPending,
			"Claim s3export-e-1 was told to go at 2026-11-26 11:58:00 UTC, and finalizers keep it: storage/x.",
		},
		"the snapshot is kept": {
			world(by(snapshotOf), snapshotted(snap(goesFor(answerPatience)))), Wait, v1alpha1.ReasonRemovalPending,
			"VolumeSnapshot s3export-e-1",
		},
		"the node of the consumer is lost": {
			with(whole, waitsForPod, consumer(lost)), Wait, v1alpha1.ReasonMoverLost, "delete pod s3consumer-e-1 --force",
		},
		"before its claim is bound, too": {
			world(by(cloneOf), copied(), waitsForPod, consumer(lost)), Wait, v1alpha1.ReasonMoverLost, "--force",
		},
		"its volume does not come": {
			world(by(cloneOf), copied(isBound, pvc(aged))), Wait, v1alpha1.ReasonProvisioning, "kubectl describe pv pv-2",
		},
		"nothing is provisioned": {
			world(by(cloneOf), copied(pvc(aged)), troubled), Wait, v1alpha1.ReasonProvisioning, "no space",
		},
		"and nobody says why": {
			world(by(cloneOf), copied(pvc(aged))), Wait, v1alpha1.ReasonProvisioning, "kubectl describe pvc s3export-e-1",
		},
		"perhaps the provisioner does not run": {
			world(by(cloneOf), copied(pvc(aged))), Wait, v1alpha1.ReasonProvisioning, "does CSI driver csi.test run",
		},

		"a volume that was free is kept": {world(by(cloneOf), copied(isBound), onVolume(wasFree)), KeepVolume, "", ""},
		"and is not read": {
			world(by(cloneOf), copied(isBound), onVolume(wasFree, keptVolume)),
			Wait, v1alpha1.ReasonVolumeCaptured, "volume pv-2",
		},
		"nor one made by hand": {world(by(cloneOf), copied(isBound), onVolume(byHand)), KeepVolume, "", ""},
		"it is kept before its claim goes": {
			world(by(cloneOf), copied(isBound), onVolume(wasFree), deleted), KeepVolume, "", "",
		},
		"also when somebody deletes that": {
			world(by(cloneOf), copied(isBound, pvc(going)), onVolume(wasFree), deleted), KeepVolume, "", "",
		},
		"then the claim goes": {
			world(by(cloneOf), copied(isBound), onVolume(wasFree, keptVolume), deleted), DeleteTemporaryClaim, "", "",
		},

		"suspended ends the mover": {
			with(whole, suspended, mover(corev1.PodRunning, readsCopy)), DeleteMover, v1alpha1.ReasonSuspended, "",
		},
		"then the consumer": {
			with(whole, suspended, consumer()), DeleteConsumer, v1alpha1.ReasonSuspended, "",
		},
		"then the claim": {
			with(whole, suspended), DeleteTemporaryClaim, v1alpha1.ReasonSuspended, "",
		},
		"then the snapshot": {
			world(by(snapshotOf), suspended, taken, copied(pvc(going))), DeleteSnapshot, v1alpha1.ReasonSuspended, "",
		},
		"then it is suspended": {
			world(by(snapshotOf), suspended, snapshotted(snap(going))), Wait, v1alpha1.ReasonSuspended, "",
		},
		"deleted with all":        {with(whole, deleted), DeleteTemporaryClaim, "", ""},
		"deleted with a snapshot": {world(by(snapshotOf), taken, deleted), DeleteSnapshot, "", ""},
		"deleted with a consumer": {
			world(by(cloneOf), copied(), consumer(), deleted), DeleteConsumer, "", "",
		},
		"what goes needs no finalizer": {
			world(by(snapshotOf), snapshotted(snap(going)), copied(pvc(going)), deleted), RemoveFinalizer, "", "",
		},
		"what is somebody's stays": {
			world(by(snapshotOf), snapshotted(snap(strange)), copied(pvc(strange)), deleted), RemoveFinalizer, "", "",
		},
		"failed with all": {
			with(whole, over(v1alpha1.ConditionFailed, time.Second)), DeleteTemporaryClaim, "", "",
		},
		"complete with all": {
			with(whole, over(v1alpha1.ConditionComplete, time.Second)), DeleteTemporaryClaim, "", "",
		},
		"complete with a snapshot": {
			world(by(snapshotOf), taken, over(v1alpha1.ConditionComplete, time.Second)), DeleteSnapshot, "", "",
		},
		"a dry run left no uploads": {
			world(by(cloneOf), dryRun, over(v1alpha1.ConditionFailed, time.Second)), RemoveFinalizer, "", "",
		},
		"a copy of an export is none's to export": {
			world(isTemporary), Wait, v1alpha1.ReasonUnsupportedClaim, "another export",
		},

		"complete": {
			with(whole, mover(corev1.PodSucceeded, readsCopy, reports(done))), Wait, v1alpha1.ReasonExported, "",
		},
		"complete, and the claim went": {
			with(whole, mover(corev1.PodSucceeded, readsCopy, reports(done)), noClaim), Wait, v1alpha1.ReasonExported, "",
		},
		"a clone may be of a later claim": {
			world(by(cloneOf), copied(isBound), mover(corev1.PodSucceeded, readsCopy, reports(done)), noClaim),
			Wait, v1alpha1.ReasonClaimReplaced, "data is gone",
		},
		"a claim that went before the copy was read": {
			world(by(snapshotOf), noClaim), Wait, v1alpha1.ReasonClaimReplaced, "deleted",
		},
		"a claim that goes is waited for by nobody": {
			world(by(snapshotOf), snapshotted(), claimDeleted), Wait, v1alpha1.ReasonClaimReplaced, "being deleted",
		},
		"the logs of a failed run do not keep a copy": {
			world(by(cloneOf), copied(isBound, isDeleted), mover(corev1.PodFailed, readsCopy, reports(denied)), told,
				over(v1alpha1.ConditionFailed, time.Minute)), DeleteMover, "", "",
		},
		"nor do those of a suspended one": {
			world(by(cloneOf), copied(isBound, isDeleted), mover(corev1.PodFailed, readsCopy, reports(broken)), told, suspended),
			DeleteMover, "", "",
		},
		"another copy has the name": {
			with(whole, mover(corev1.PodSucceeded, reports(done))), Wait, v1alpha1.ReasonClaimReplaced, "s3export-e-1",
		},
		"no copy has": {
			world(by(cloneOf), mover(corev1.PodSucceeded, readsCopy, reports(done))),
			Wait, v1alpha1.ReasonClaimReplaced, "s3export-e-1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := Decide(test.in, defaults)
			if d.Action != test.want || d.Reason != test.reason || !strings.Contains(d.Message, test.says) {
				t.Errorf("decided %+v, want %s %s %q", d, test.want, test.reason, test.says)
			}
			if d.Recheck == 0 && d.Action != DeleteMover && d.Reason != v1alpha1.ReasonSuspended {
				t.Errorf("nothing wakes the export after %s", d.Action)
			}
		})
	}
}

func isDeleted(c *corev1.PersistentVolumeClaim)   { going(c) }
func isLost(c *corev1.PersistentVolumeClaim)      { c.Status.Phase = corev1.ClaimLost }
func otherOrigin(c *corev1.PersistentVolumeClaim) { c.Spec.DataSource.Name = "other" }
func hasContent(s *Snapshot)                      { s.Content = true }
func isTaken(s *Snapshot)                         { s.Taken = true }
func lost(p *corev1.Pod)                          { p.DeletionTimestamp = new(ago(endPatience)) }
func ofAnotherName(s *Snapshot)                   { s.ClaimName = "other" }
func fails(s *Snapshot)                           { s.Error = "no space." }
func noSnapshots(s *State)                        { s.Temporary.Unavailable, s.Temporary.SnapshotClasses = true, nil }

func troubled(s *State)                 { s.Temporary.Trouble = "ProvisioningFailed: no space" }
func byHand(v *corev1.PersistentVolume) { v.Annotations = nil }
func isTemporary(s *State)              { s.Claim.Labels = TemporaryMeta(*s).Labels }

// What would leave something behind, or hand out another volume, is told with the field that is to be corrected.
func TestClassesOfTemporaries(t *testing.T) {
	t.Parallel()
	named := func(name string) change {
		return func(s *State) { s.Export.Spec.VolumeSnapshotClassName = name }
	}
	one := SnapshotClass{Name: "snaps", Driver: "csi.test", Default: true, Deletes: true}
	two, theirs, keeps := one, one, one
	two.Name, theirs.Driver, keeps.Deletes = "more", "other", false
	const noClass, badClass, bad = v1alpha1.ReasonSnapshotClassNotFound, v1alpha1.ReasonUnsupportedSnapshotClass,
		v1alpha1.ReasonUnsupportedClass
	for name, test := range map[string]struct {
		change change
		reason v1alpha1.Reason
		says   string
	}{
		"the default":            {classes(one), v1alpha1.ReasonPreparing, ""},
		"the default of several": {classes(theirs, one), v1alpha1.ReasonPreparing, ""},
		"no class":               {classes(), noClass, "0 classes are the default for CSI driver csi.test"},
		"two defaults":           {classes(one, two), noClass, "2 classes"},
		"of another driver":      {classes(theirs), noClass, "spec.volumeSnapshotClassName"},
		"one that keeps":         {classes(keeps), badClass, "deletionPolicy Retain"},
		"named":                  {both(classes(one, two), named("more")), v1alpha1.ReasonPreparing, ""},
		"named and missing": {
			both(classes(one), named("x")), noClass, "spec.volumeSnapshotClassName: there is no VolumeSnapshotClass x",
		},
		"named, of another driver": {both(classes(theirs), named("snaps")), badClass, "of CSI driver other"},
		"named, and it keeps":      {both(classes(keeps), named("snaps")), badClass, "leave a snapshot behind"},

		"no storage class": {
			func(s *State) { s.Claim.Spec.StorageClassName = nil }, v1alpha1.ReasonStorageClassUnset, "spec.storageClassName",
		},
		"a storage class that is gone": {
			func(s *State) { s.Temporary.Class = nil }, v1alpha1.ReasonStorageClassNotFound, "StorageClass fast",
		},
		"one that has free volumes": {
			hasFree, v1alpha1.ReasonFreeVolume, "PersistentVolume pv-9 of StorageClass fast",
		},
		"of another provisioner": {
			class(func(c *storagev1.StorageClass) { c.Provisioner = "rancher.io/local-path" }), bad, "rancher.io/local-path",
		},
		"one that keeps volumes": {
			class(func(c *storagev1.StorageClass) { c.ReclaimPolicy = new(corev1.PersistentVolumeReclaimRetain) }),
			bad, "leave a volume behind",
		},
		"no CSI driver": {
			func(s *State) { s.Temporary.Source.Spec.CSI = nil }, v1alpha1.ReasonUnsupportedClaim, "no CSI driver",
		},
		"no volume": {func(s *State) { s.Temporary.Source = nil }, v1alpha1.ReasonClaimNotBound, "volume of claim data"},
	} {
		d := Decide(world(by(snapshotOf), test.change), defaults)
		if d.Reason != test.reason || !strings.Contains(d.Message, test.says) || d.Recheck == 0 {
			t.Errorf("%s: decided %+v, want %s %q", name, d, test.reason, test.says)
		}
		if d := Decide(world(by(cloneOf), test.change), defaults); test.reason != noClass && test.reason != badClass &&
			d.Reason != test.reason {
			t.Errorf("%s, by a clone: decided %+v, want %s", name, d, test.reason)
		}
	}
}

func both(a, b change) change {
	return func(s *State) {
		a(s)
		b(s)
	}
}
