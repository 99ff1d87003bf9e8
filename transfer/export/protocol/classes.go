// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// problem is why nothing temporary can be made, until somebody corrects something.
type problem struct {
	reason  v1alpha1.Reason
	message string
}

func problemOf(reason v1alpha1.Reason, format string, args ...any) problem {
	return problem{reason, fmt.Sprintf(format, args...)}
}

// driverOf is the CSI driver of the volume that is exported; empty where no such driver made it.
func driverOf(s State) string {
	if v := s.Temporary.Source; v != nil && v.Spec.CSI != nil {
		return v.Spec.CSI.Driver
	}
	return ""
}

// snapshotClassFor chooses the class of the snapshot, and writes it down in the snapshot: nobody's default
// may become another one in between.
//
//	spec.volumeSnapshotClassName   of the driver   deletionPolicy   then
//	a class that is there          yes             Delete           that
//	a class that is there          no              any              UnsupportedSnapshotClass
//	a class that is there          yes             Retain           UnsupportedSnapshotClass
//	one that is not there          -               -                SnapshotClassNotFound
//	empty, one default class       yes             as above         that
//	empty, none or several         -               -                SnapshotClassNotFound
func snapshotClassFor(s State) (SnapshotClass, problem) {
	named, driver := s.Export.Spec.VolumeSnapshotClassName, driverOf(s)
	var found []SnapshotClass
	for _, c := range s.Temporary.SnapshotClasses {
		if c.Name == named || named == "" && c.Default && c.Driver == driver {
			found = append(found, c)
		}
	}
	switch {
	case named != "" && len(found) == 0:
		return SnapshotClass{}, problemOf(v1alpha1.ReasonSnapshotClassNotFound,
			"spec.volumeSnapshotClassName: there is no VolumeSnapshotClass %s. Create it, or make an export that names "+
				"another.", named)
	case len(found) != 1:
		return SnapshotClass{}, problemOf(v1alpha1.ReasonSnapshotClassNotFound,
			"%d classes are the default for CSI driver %s, and one is needed. Name a VolumeSnapshotClass in "+
				"spec.volumeSnapshotClassName of a new export.", len(found), driver)
	case found[0].Driver != driver:
		return SnapshotClass{}, problemOf(v1alpha1.ReasonUnsupportedSnapshotClass,
			"spec.volumeSnapshotClassName: VolumeSnapshotClass %s is of CSI driver %s, the volume of %s.",
			named, found[0].Driver, driver)
	case !found[0].Deletes:
		return SnapshotClass{}, problemOf(v1alpha1.ReasonUnsupportedSnapshotClass,
			"spec.volumeSnapshotClassName: VolumeSnapshotClass %s has the deletionPolicy Retain, so that every run would "+
				"leave a snapshot behind. Name a class with deletionPolicy Delete in a new export.", found[0].Name)
	}
	return found[0], problem{}
}

// SnapshotClassFor is the name of that class; empty where there is none.
func SnapshotClassFor(s State) string {
	c, _ := snapshotClassFor(s)
	return c.Name
}

// claimProblem is why no temporary claim may be made.
func claimProblem(s State) problem {
	if p := classProblem(s); p.reason != "" {
		return p
	}
	return freeProblem(s)
}

// classProblem judges the storage class of the temporary claim. A provisioner of another driver, or none of CSI,
// may ignore where the data is to come from and make an empty volume: that would be exported as the claim.
func classProblem(s State) problem {
	name, class := ClassNameFor(s), s.Temporary.Class
	switch {
	case name == "":
		return problemOf(v1alpha1.ReasonStorageClassUnset, "spec.storageClassName: claim %s has no storage class that the "+
			"temporary claim could have. Name one in a new export.", s.Export.Spec.ClaimName)
	case class == nil:
		return problemOf(
			v1alpha1.ReasonStorageClassNotFound,
			"spec.storageClassName: there is no StorageClass %s, which the "+
				"temporary claim is to have. Create it, or name another in a new export.",
			name,
		)
	case class.Provisioner != driverOf(s):
		return problemOf(v1alpha1.ReasonUnsupportedClass, "spec.storageClassName: the provisioner of StorageClass %s is %s, "+
			"the volume is of CSI driver %s. Name a class of that driver in a new export.",
			name, class.Provisioner, driverOf(s))
	case class.ReclaimPolicy != nil && *class.ReclaimPolicy != corev1.PersistentVolumeReclaimDelete:
		return problemOf(
			v1alpha1.ReasonUnsupportedClass,
			"spec.storageClassName: StorageClass %s has the reclaimPolicy %s, so "+
				"that every run would leave a volume behind. Name a class with reclaimPolicy Delete in a new export.",
			name,
			*class.ReclaimPolicy,
		)
	}
	return problem{}
}

// refuseVolume is for a claim that no CSI driver can copy.
func refuseVolume(s State) (Decision, bool) {
	if s.Temporary.Source == nil {
		return waiting(v1alpha1.ReasonClaimNotBound, claimEvery,
			"The volume of claim %s is not there.", s.Export.Spec.ClaimName)
	}
	if driverOf(s) != "" {
		return Decision{}, false
	}
	return failing(v1alpha1.ReasonUnsupportedClaim,
		"The volume of claim %s is of no CSI driver, so that there is no %s of it. Export it with consistency Live.",
		s.Export.Spec.ClaimName, strings.ToLower(string(s.Export.Spec.Consistency)))
}
