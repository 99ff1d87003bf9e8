// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/provisioner"
)

// lookAgain is when a wait is re-examined that has lasted for a while and whose end wakes
// nobody: a provisioner's events are read, a pending mover's too. The longer it lasts, the
// more seldom, so that a thousand claims that wait for one another cost little.
func lookAgain(lasted time.Duration) time.Duration {
	return min(max(lasted/2, 10*time.Second), time.Minute)
}

// settle is how long something that a claim names may be missing before that is said.
const settle = 3 * time.Second

// checkClaim refuses, before anything exists, what could never be populated.
func checkClaim(s State) (Decision, bool) {
	if s.Prime != nil {
		return Decision{}, false
	}
	refuse := func(message string) (Decision, bool) {
		return Because(corev1.ConditionFalse, v1alpha1.ReasonUnsupportedClaim, message), true
	}
	spec := s.Claim.Spec
	switch {
	case spec.DataSourceRef.Namespace != nil && *spec.DataSourceRef.Namespace != "" &&
		*spec.DataSourceRef.Namespace != s.Claim.Namespace:
		return refuse(
			fmt.Sprintf(
				"spec.dataSourceRef.namespace is %s, but a source must be in the claim's own namespace. Create the S3Source in %s and leave the field out.",
				*spec.DataSourceRef.Namespace,
				s.Claim.Namespace,
			),
		)
	case spec.Selector != nil:
		return Because(
			corev1.ConditionUnknown,
			v1alpha1.ReasonLeftAlone,
			"spec.selector is set, as a restore does that brings its own volume, so the claim is left alone: nothing is loaded from S3. To load from S3, create a claim without it.",
		), true
	case block(s.Claim) && s.Source != nil && len(s.Source.Spec.Objects) != 1:
		return refuse(
			fmt.Sprintf(
				"spec.volumeMode is Block, which takes exactly one object, but S3Source %s selects %s. List exactly one in its spec.objects, or use volumeMode Filesystem.",
				s.Source.Name,
				selection(s.Source),
			),
		)
	}
	return Decision{}, false
}

func selection(source *v1alpha1.S3Source) string {
	if n := len(source.Spec.Objects); n > 0 {
		return fmt.Sprintf("%d objects", n)
	}
	return "a whole prefix"
}

// checkClass waits for the storage class and refuses those that would hand out an empty volume.
func checkClass(s State) (Decision, bool) {
	if s.Prime != nil {
		return Decision{}, false
	}
	name := s.Claim.Spec.StorageClassName
	switch {
	case name == nil:
		return Because(
			corev1.ConditionUnknown,
			v1alpha1.ReasonStorageClassUnset,
			"The claim names no storage class and the cluster has no default one. Set spec.storageClassName, or mark a class as default; population then begins.",
		), true
	case *name == "":
		return Because(corev1.ConditionFalse, v1alpha1.ReasonUnsupportedClass,
			`spec.storageClassName is "", which turns provisioning off. Create the claim with the name of a class.`), true
	case s.Class == nil && young(s):
		return Decision{Action: Wait, Recheck: settle}, true
	case s.Class == nil:
		return Because(corev1.ConditionUnknown, v1alpha1.ReasonStorageClassNotFound,
			fmt.Sprintf("StorageClass %s does not exist. Create it, or create the claim with another one.", *name)), true
	}
	if why := provisioner.Unsupported(s.Class, s.CSI); why != "" {
		return Because(
			corev1.ConditionFalse,
			v1alpha1.ReasonUnsupportedClass,
			fmt.Sprintf(
				"StorageClass %s cannot be populated: %s. Create the claim with a class of a CSI driver.",
				*name,
				why,
			),
		), true
	}
	return Decision{}, false
}

// waitForExport: what the source names is not known, so that nothing can be loaded, and what is loaded already may not
// be what is asked for.
func waitForExport(s State) (Decision, bool) {
	if s.Unresolved == nil {
		return Decision{}, false
	}
	if young(s) { // The source may have been made with the claim, and nobody has looked at it yet.
		return Decision{Action: Wait, Recheck: settle}, true
	}
	return Because(corev1.ConditionUnknown, v1alpha1.ReasonExportNotFound, fmt.Sprintf(
		"S3Source %s names an S3Export by spec.fromExport that is not there or not complete. Its condition Ready says why; "+
			"population goes on when there is one. See `kubectl describe s3source %s`.", s.Unresolved.Name, s.Unresolved.Name)), true
}

// waitForSource: a source may be created after the claims that name it.
func waitForSource(s State) (Decision, bool) {
	if s.Prime != nil || s.Source != nil {
		return Decision{}, false
	}
	if young(s) {
		return Decision{Action: Wait, Recheck: settle}, true
	}
	return sourceNotFound(s), true
}

// young claims are given the time that one `kubectl apply` of many files takes, and our
// caches: what they name may come a moment after them, and is not worth a warning.
func young(s State) bool {
	_, told := Populated(s.Claim)
	return !told && s.Now.Sub(s.Claim.CreationTimestamp.Time) < settle
}

func sourceNotFound(s State) Decision {
	name := s.Claim.Spec.DataSourceRef.Name
	return Because(corev1.ConditionUnknown, v1alpha1.ReasonSourceNotFound, fmt.Sprintf(
		"S3Source %s does not exist in namespace %s. Create it; population then begins.", name, s.Claim.Namespace))
}

// waitForInventory only where the size of the volume depends on it: one of an earlier spec
// says nothing about this one.
func waitForInventory(s State) (Decision, bool) {
	if s.Prime != nil || !grows(s.Source, s.Claim) || InventoryCurrent(s.Source) {
		return Decision{}, false
	}
	if n := ReadNextPrime(s.Claim); n.Bytes > 0 && n.BytesFor == RequestHash(s.Source, s.Claim) {
		return Decision{}, false // A mover has found the size already.
	}
	return Because(corev1.ConditionUnknown, v1alpha1.ReasonInventoryPending, fmt.Sprintf(
		"The volume may grow to fit S3Source %s, which has not been listed yet. If this does not change, see `kubectl describe s3source %s`.",
		s.Source.Name,
		s.Source.Name,
	)), true
}

func waitForConsumer(s State) (Decision, bool) {
	if s.Prime != nil || !waitsForConsumer(s) || s.Claim.Annotations[v1alpha1.AnnotationSelectedNode] != "" {
		return Decision{}, false
	}
	return early(s, Because(corev1.ConditionUnknown, v1alpha1.ReasonWaitForFirstConsumer, fmt.Sprintf(
		"StorageClass %s waits for a pod that uses the claim. Create one, or annotate the claim with %s=%s to fill it now.",
		s.Class.Name, v1alpha1.AnnotationBind, v1alpha1.BindImmediate))), true
}

// consumerPatience is how long a claim may be without a pod before that is told. The
// scheduler chooses a node for the pod that comes right after its claim, and writes it to the
// claim as it has seen it: a write of ours in between would cost that pod another round.
const consumerPatience = 15 * time.Second

// early keeps a decision quiet while the claim is young.
func early(s State, d Decision) Decision {
	if left := consumerPatience - s.Now.Sub(s.Claim.CreationTimestamp.Time); left > 0 {
		return d.Again(left).Quietly()
	}
	return d
}

// waitForSearch: the PV controller binds a claim to any free volume that fits, whatever its
// data source says. Once it has asked for a new volume it has found none, so that a prime
// is not made in vain, nor bound to that free volume itself.
func waitForSearch(s State) (Decision, bool) {
	if s.Prime != nil || searched(s.Claim) || lateBinding(s) && !waitsForConsumer(s) {
		return Decision{}, false
	}
	d := Because(
		corev1.ConditionUnknown,
		v1alpha1.ReasonProvisioning,
		"Kubernetes has not decided yet whether an existing free volume fits the claim; if none does, kube-controller-manager sets the claim's annotation "+
			v1alpha1.AnnotationStorageProvisioner+", and population begins.",
	)
	if age := s.Now.Sub(s.Claim.CreationTimestamp.Time); age < ProvisionPatience {
		return d.Again(ProvisionPatience - age).Quietly(), true
	}
	return d, true
}

func searched(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Annotations[v1alpha1.AnnotationStorageProvisioner] != "" ||
		claim.Annotations[v1alpha1.AnnotationBetaStorageProvisioner] != ""
}
