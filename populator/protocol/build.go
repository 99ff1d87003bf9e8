// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/fromexport"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/internal/sizing"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/populator/queue"
)

// PrimePrefix begins the name of every prime. Other populators say "prime-"; ours differs,
// because a volume that lost its prime is known as ours by this name alone.
const PrimePrefix = "s3prime-"

// PrimeName and MoverName carry the claim's UID: a claim recreated under its name gets new ones.
func PrimeName(claim *corev1.PersistentVolumeClaim) string { return PrimePrefix + string(claim.UID) }

// MoverName is the one name that a claim's movers have, one after the other.
func MoverName(claim *corev1.PersistentVolumeClaim) string {
	return moverpod.PopulatorName(string(claim.UID))
}

// ImportName is the claim's name, for people, and enough of its UID to never meet another run.
func ImportName(claim *corev1.PersistentVolumeClaim) string {
	const most = 253 - len("-12345678")
	return claim.Name[:min(len(claim.Name), most)] + "-" + string(claim.UID)[:min(8, len(claim.UID))]
}

// Prime asks for a volume that will fit the claim in everything the PV controller
// compares (capacity, modes, volume mode, attributes class), and for no data source.
func Prime(s State, copied []string) *corev1.PersistentVolumeClaim {
	spec := s.Claim.Spec
	p := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name:            PrimeName(s.Claim),
			Namespace:       s.Claim.Namespace,
			Labels:          labels(s.Claim, v1alpha1.RolePrime),
			Annotations:     map[string]string{},
			OwnerReferences: []metav1.OwnerReference{ownerReference(s.Claim)},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:               writable(spec.AccessModes),
			Resources:                 *spec.Resources.DeepCopy(),
			StorageClassName:          spec.StorageClassName,
			VolumeMode:                spec.VolumeMode,
			VolumeAttributesClassName: spec.VolumeAttributesClassName,
		},
	}
	p.Labels[v1alpha1.LabelVeleroExclude] = "true"
	p.Annotations[v1alpha1.AnnotationRequestHash] = RequestHash(s.Source, s.Claim)
	for _, k := range copied {
		if v, ok := s.Claim.Annotations[k]; ok {
			p.Annotations[k] = v
		}
	}
	if node := s.Claim.Annotations[v1alpha1.AnnotationSelectedNode]; waitsForConsumer(s) {
		p.Annotations[v1alpha1.AnnotationSelectedNode] = node
		p.Annotations[v1alpha1.AnnotationMirroredNode] = node
	} else if next := ReadNextPrime(s.Claim); lateBinding(s) && next.Node != "" {
		p.Annotations[v1alpha1.AnnotationSelectedNode] = next.Node // Keeps the scheduler from handing out a free volume.
	}
	grow(p, s.Source, s.Claim)
	return p
}

// writable puts a mode first that the mover can write with: kubelets publish a CSI volume
// with the first one.
func writable(modes []corev1.PersistentVolumeAccessMode) []corev1.PersistentVolumeAccessMode {
	if !onlyReaders(modes) {
		return slices.Clone(modes)
	}
	return append([]corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, modes...)
}

// grows tells that the volume may become larger than the claim's request: its source says
// so, or admission did because the size was not known yet.
func grows(source *v1alpha1.S3Source, claim *corev1.PersistentVolumeClaim) bool {
	return source.Spec.Sizing.OnTooSmall == v1alpha1.TooSmallGrow ||
		claim.Annotations[v1alpha1.AnnotationGrowTo] == v1alpha1.GrowToInventory
}

// grow raises the prime's request to what the source needs, by its inventory and by what a
// mover found, if its user said so. The
// claim then binds to a larger volume than it asked for, which Kubernetes allows.
func grow(p *corev1.PersistentVolumeClaim, source *v1alpha1.S3Source, claim *corev1.PersistentVolumeClaim) {
	if !grows(source, claim) {
		return
	}
	need := resource.NewQuantity(ReadNextPrime(claim).grownFor(RequestHash(source, claim)).Bytes, resource.BinarySI)
	if InventoryCurrent(source) {
		if q := sizing.Request(source.Status.Inventory.Bytes, source.Spec.Sizing.OveragePercent); q.Cmp(*need) > 0 {
			need = &q
		}
	}
	raise(p, *need)
}

// raise never shrinks a request.
func raise(p *corev1.PersistentVolumeClaim, need resource.Quantity) {
	if have := p.Spec.Resources.Requests[corev1.ResourceStorage]; have.Cmp(need) < 0 {
		p.Spec.Resources.Requests[corev1.ResourceStorage] = need
		if limit, ok := p.Spec.Resources.Limits[corev1.ResourceStorage]; ok && limit.Cmp(need) < 0 {
			delete(p.Spec.Resources.Limits, corev1.ResourceStorage)
		}
	}
}

// MoverOptions are what an administrator decides of mover pods.
type MoverOptions struct {
	// Image of the mover pods.
	Image moverpod.Image
	// Defaults of mover pods.
	Defaults moverpod.Defaults
	// ProgressURL is where movers send progress, without a path; empty turns it off.
	ProgressURL string
	// ProgressCA is the PEM that signed the progress endpoint's certificate.
	ProgressCA string
}

// Mover is the pod that fills the prime. Its only error is a source that cannot be encoded.
func Mover(s State, o MoverOptions) (*corev1.Pod, error) {
	request, err := moverpod.Request(wire.Populate, s.Source.Spec)
	if err != nil {
		return nil, err
	}
	request.Policy.Run.UID, request.Policy.Run.Prefix, request.Policy.Run.Digest = fromexport.Run(s.Source)
	before := ReadAttempts(s.Prime)
	request.Attempt = attemptNumber(s, before)
	request.Volume = wire.Volume{Mode: wire.Filesystem, TargetPath: s.Source.Spec.TargetPath}
	if block(s.Claim) {
		request.Volume = wire.Volume{Mode: wire.Block, Arrived: before.Arrived}
	}
	request.Volume.ClaimUID, request.Volume.Began = string(s.Claim.UID), before.Began
	request.Progress = wire.Progress{URL: o.ProgressURL, CABundle: o.ProgressCA}
	return moverpod.New(moverpod.Spec{
		Name:      MoverName(s.Claim),
		Namespace: s.Claim.Namespace,
		Owner:     ownerReference(s.Claim),
		Labels:    moverLabels(s, v1alpha1.RolePopulate),
		Annotations: map[string]string{
			v1alpha1.AnnotationRequestHash:  RequestHash(s.Source, s.Claim),
			v1alpha1.AnnotationPodHash:      PodHash(s.Source),
			v1alpha1.AnnotationAttempt:      itoa(int64(request.Attempt)),
			v1alpha1.AnnotationPrimeUID:     string(s.Prime.UID),
			v1alpha1.AnnotationEndpointHost: queue.Host(s.Source.Spec.Endpoint),
		},
		Image:     o.Image,
		Location:  s.Source.Spec.S3Location,
		Mover:     s.Source.Spec.Mover,
		Defaults:  o.Defaults,
		Deadline:  attemptTimeout(s.Source),
		Request:   request,
		ClaimName: s.Prime.Name,
	})
}

// HadMover tells that the mover which is started next is not the first on its volume, as far as
// anybody knows.
func HadMover(s State) bool { return attemptNumber(s, ReadAttempts(s.Prime)) > 1 }

// attemptNumber counts movers from 1. One that nobody saw end, because no manager ran and its
// pod was collected, is known from the import alone; what it wrote has to be proven, not refused.
func attemptNumber(s State, before Attempts) int {
	n := before.number()
	if s.Import != nil {
		n = max(n, int(s.Import.Status.Attempts)+1)
	}
	return n
}

// moverLabels tell also which source is read, by which movers are counted.
func moverLabels(s State, role string) map[string]string {
	all := labels(s.Claim, role)
	all[v1alpha1.LabelSourceUID] = string(s.Source.UID)
	return all
}

// attemptTimeout of a source; zero is none.
func attemptTimeout(source *v1alpha1.S3Source) time.Duration {
	if t := source.Spec.Retries.AttemptTimeout; t != nil {
		return t.Duration
	}
	return 0
}

func labels(claim *corev1.PersistentVolumeClaim, role string) map[string]string {
	return map[string]string{
		v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
		v1alpha1.LabelClaimUID:  string(claim.UID),
		v1alpha1.LabelRole:      role,
	}
}

// ownerReference lets garbage collection take everything of ours with the claim, even
// when we are uninstalled.
func ownerReference(claim *corev1.PersistentVolumeClaim) metav1.OwnerReference {
	return *metav1.NewControllerRef(claim, corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"))
}
