// SPDX-License-Identifier: Apache-2.0

// Package provisioner judges storage classes: which provisioner leaves a claim with a
// dataSourceRef of ours to a populator, and which hands out an empty volume, or none. It is
// pure: admission refuses by it what the manager would refuse to populate.
package provisioner

import (
	"strings"

	storagev1 "k8s.io/api/storage/v1"
	translate "k8s.io/csi-translation-lib"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// None is the provisioner of classes for volumes that an administrator makes.
const None = "kubernetes.io/no-provisioner"

// BuiltIn begins the names of the volume plugins that are, or were, part of Kubernetes.
const BuiltIn = "kubernetes.io/"

// Unsupported tells why a claim of a class cannot be populated, or returns "". csi tells
// that a CSIDriver object has the provisioner's name.
//
//	provisioner                               then
//	no-provisioner                            unsupported: a volume made by hand is bound as it is
//	built in, served by a CSI driver today    supported, whether the class says so or not
//	built in, otherwise                       unsupported
//	with a CSIDriver object                   supported
//	vouched for by the class's annotation     supported
//	any other                                 unsupported: it ignores dataSourceRef and binds an empty volume
func Unsupported(class *storagev1.StorageClass, csi bool) string {
	name := class.Provisioner
	switch {
	case name == None:
		return "its volumes are made by hand (" + None + ")"
	case translate.New().IsMigratableIntreePluginByName(name):
		return ""
	case strings.HasPrefix(name, BuiltIn):
		return "its provisioner " + name + " is built in and ignores dataSourceRef"
	case csi, class.Annotations[v1alpha1.AnnotationHonoursDataSource] == v1alpha1.HonoursDataSource:
		return ""
	}
	return "no CSIDriver object named " + name +
		" exists, and a provisioner that is not CSI ignores dataSourceRef and binds an empty volume"
}
