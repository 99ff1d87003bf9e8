// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"encoding/json"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// The parts that worlds are built from. A change is named by what it makes true.
type change func(*State)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

const (
	claimUID = "11111111-2222-3333-4444-555555555555"
	primeUID = "prime-uid"
	moverUID = "mover-uid"
)

// world is a claim of ours with a source and a CSI class that binds at once, and changes.
func world(changes ...change) State {
	s := State{
		Now: noon,
		Claim: &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{
				Name: "data", Namespace: "team", UID: claimUID, ResourceVersion: "10",
				CreationTimestamp: metav1.NewTime(noon.Add(-time.Minute)),
				Annotations:       map[string]string{v1alpha1.AnnotationStorageProvisioner: "csi.example.com"},
			},
			Spec: corev1.PersistentVolumeClaimSpec{
				StorageClassName: new("fast"),
				AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources: corev1.VolumeResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
				},
				DataSourceRef: &corev1.TypedObjectReference{
					APIGroup: new(v1alpha1.Group),
					Kind:     v1alpha1.KindS3Source,
					Name:     "models",
				},
			},
		},
	}
	withSource(&s)
	class(storagev1.VolumeBindingImmediate, "csi.example.com")(&s)
	s.CSI = true
	for _, c := range changes {
		c(&s)
	}
	return s
}

func withSource(s *State) {
	s.Source = &v1alpha1.S3Source{
		ObjectMeta: metav1.ObjectMeta{Name: "models", Namespace: "team", UID: "source-uid", Generation: 1},
		Spec: v1alpha1.S3SourceSpec{
			S3Location: v1alpha1.S3Location{Bucket: "datasets", Endpoint: "http://s3"},
			Retries:    v1alpha1.Retries{Limit: new(int32(3))},
		},
	}
}

// baseHash is that of an unchanged world; it is computed once, because there are millions of worlds.
var (
	baseHash = sync.OnceValue(func() string { s := world(); return RequestHash(s.Source, s.Claim) })
	basePod  = sync.OnceValue(func() string { return PodHash(world().Source) })
)

func noSource(s *State)   { s.Source = nil }
func noClass(s *State)    { s.Class = nil }
func noCSI(s *State)      { s.CSI = false }
func deleting(s *State)   { s.Claim.DeletionTimestamp = new(metav1.NewTime(noon)) }
func otherSpec(s *State)  { s.Source.Spec.Bucket = "elsewhere" }
func otherNodes(s *State) { s.Source.Spec.Mover.NodeSelector = map[string]string{"disk": "fast"} }
func retried(s *State)    { s.Claim.Annotations[v1alpha1.AnnotationRetry] = "1" }
func recreated(s *State)  { s.Source.UID = "another" }

// otherUse changes what neither a mover's request nor its pod depends on.
func otherUse(s *State) {
	s.Source.Generation++
	s.Source.Spec.ClaimSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}
	s.Source.Spec.Sizing.OveragePercent = new(int32(50))
	s.Source.Spec.Transfer.MaxMovers = 5
}

// upgraded is what the API server makes of a source that was stored without defaults.
func upgraded(s *State) {
	s.Source.Spec.Addressing, s.Source.Spec.PrefixMode, s.Source.Spec.OnEmpty, s.Source.Spec.UnsafeKeys = "Auto",
		"Directory", "Fail", "Fail"
	s.Source.Spec.Transfer.Engine, s.Source.Spec.Transfer.Verify = "Auto", "Checksum"
	s.Source.Spec.Retries.AttemptTimeout = &metav1.Duration{Duration: 24 * time.Hour}
}
func unsetClass(s *State) { s.Claim.Spec.StorageClassName = nil }
func emptyClass(s *State) { s.Claim.Spec.StorageClassName = new("") }
func selector(s *State)   { s.Claim.Spec.Selector = &metav1.LabelSelector{} }
func blockMode(s *State)  { s.Claim.Spec.VolumeMode = new(corev1.PersistentVolumeBlock) }
func lateClass(s *State)  { class(storagev1.VolumeBindingWaitForFirstConsumer, "csi.example.com")(s) }
func bindNow(s *State)    { s.Claim.Annotations[v1alpha1.AnnotationBind] = v1alpha1.BindImmediate }
func node(n string) change {
	return func(s *State) { s.Claim.Annotations[v1alpha1.AnnotationSelectedNode] = n }
}
func foreignRef(s *State) { s.Claim.Spec.DataSourceRef.Namespace = new("other") }
func growing(s *State)    { s.Source.Spec.Sizing.OnTooSmall = v1alpha1.TooSmallGrow }
func growTo(s *State)     { s.Claim.Annotations[v1alpha1.AnnotationGrowTo] = v1alpha1.GrowToInventory }

func inventory(s *State) {
	s.Source.Status.Inventory = &v1alpha1.Inventory{Objects: 1, Bytes: 4 << 30, ObservedGeneration: 1}
}

func staleInventory(s *State) {
	inventory(s)
	s.Source.Generation = 2
}

// oldInventory was taken by a version of ours that did not say of which generation.
func oldInventory(s *State) {
	inventory(s)
	s.Source.Status.Inventory.ObservedGeneration = 0
	s.Source.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, ObservedGeneration: 1},
	}
}

func claimNode(s *State)  { node("a")(s) }
func otherNode(s *State)  { node("b")(s) }
func nothing(*State)      {}
func unsearched(s *State) { delete(s.Claim.Annotations, v1alpha1.AnnotationStorageProvisioner) }
func newClaim(s *State)   { s.Claim.CreationTimestamp = metav1.NewTime(noon) }
func toldOfSuccess(s *State) {
	told(corev1.ConditionTrue, v1alpha1.ReasonPopulated)(s)
}

func told(status corev1.ConditionStatus, reason v1alpha1.Reason) change {
	return func(s *State) {
		s.Claim.Status.Conditions = []corev1.PersistentVolumeClaimCondition{{
			Type: v1alpha1.ConditionPopulated, Status: status, Reason: string(reason),
			LastTransitionTime: metav1.NewTime(noon.Add(-time.Minute)),
		}}
	}
}

func class(mode storagev1.VolumeBindingMode, provisioner string) change {
	return func(s *State) {
		s.Class = &storagev1.StorageClass{
			ObjectMeta:        metav1.ObjectMeta{Name: "fast"},
			Provisioner:       provisioner,
			VolumeBindingMode: &mode,
		}
	}
}

// The prime.
func withPrime(s *State) {
	s.Prime = Prime(world(), nil)
	s.Prime.UID, s.Prime.ResourceVersion = primeUID, "20"
	s.Prime.CreationTimestamp = metav1.NewTime(noon.Add(-time.Second))
	s.Prime.Status.Phase = corev1.ClaimPending
}

func oldPrime(s *State) {
	withPrime(s)
	s.Prime.CreationTimestamp = metav1.NewTime(noon.Add(-time.Hour))
}

func primeOnNode(s *State) {
	withPrime(s)
	s.Prime.Annotations[v1alpha1.AnnotationSelectedNode] = "a"
	s.Prime.Annotations[v1alpha1.AnnotationMirroredNode] = "a"
}

func primeLostNode(s *State) {
	withPrime(s)
	s.Prime.Annotations[v1alpha1.AnnotationMirroredNode] = "a"
}

func foreignPrime(s *State) {
	withPrime(s)
	s.Prime.Labels, s.Prime.OwnerReferences = nil, nil
}

// boundPrime comes with its volume, of a class that deletes.
func boundPrime(s *State) {
	withPrime(s)
	s.Prime.Spec.VolumeName = "pv-1"
	s.Prime.Annotations[v1alpha1.AnnotationBindCompleted] = "yes"
	s.Prime.Status.Phase = corev1.ClaimBound
	s.PrimeVolume = volume("pv-1", s.Prime)
	s.PrimeVolume.Annotations[v1alpha1.AnnotationScratchFor] = claimUID
}

// noPhase: the last write that binds the prime is still to come.
func noPhase(s *State)     { s.Prime.Status.Phase = corev1.ClaimPending }
func madeLongAgo(s *State) { s.Prime.CreationTimestamp = metav1.NewTime(noon.Add(-time.Hour)) }

func lostPrime(s *State) {
	boundPrime(s)
	s.Prime.Status.Phase = corev1.ClaimLost
	s.PrimeVolume = nil
}

func deletingPrime(s *State) {
	boundPrime(s)
	s.Prime.DeletionTimestamp = new(metav1.NewTime(noon))
}

func filledPrime(s *State) {
	boundPrime(s)
	s.Prime.Annotations[v1alpha1.AnnotationPopulated] = moverUID
	s.Prime.Annotations[v1alpha1.AnnotationResult] = encoded(StoredResult{At: noon, Report: doneReport, Hash: baseHash()})
}

// filledByAnEarlierVersion has a result that says nothing of the request.
func filledByAnEarlierVersion(s *State) {
	filledPrime(s)
	s.Prime.Annotations[v1alpha1.AnnotationResult] = encoded(StoredResult{At: noon, Report: doneReport})
}

// tooSmallBefore had a mover that found the volume too small, which has gone since.
func tooSmallBefore(s *State) {
	boundPrime(s)
	s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(Attempts{
		Hash: baseHash(), Pod: basePod(), Movers: 1, Failures: 1, Mover: moverUID, At: noon, Terminal: true,
		Reason: wire.VolumeTooSmall, Message: "It does not fit.", RequiredBytes: 3 << 30,
	})
}

// grown has the size of its next prime on the claim, after so many.
func grown(bytes int64, times int) change {
	return func(s *State) {
		s.Claim.Annotations[v1alpha1.AnnotationNextPrime] = encoded(
			NextPrime{Claim: claimUID, Bytes: bytes, BytesFor: baseHash(), Grown: times},
		)
	}
}

// oversizedPrime waits for more than the claim asks for.
func oversizedPrime(s *State) {
	withPrime(s)
	s.Prime.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("10Ti")
}

// edited had so many movers ended by changes, the last one a moment ago.
func edited(times int) change {
	return func(s *State) {
		boundPrime(s)
		s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(
			Attempts{Movers: times, Edits: times, EditedAt: noon.Add(-time.Second), Mover: moverUID},
		)
	}
}

func failedBefore(terminal bool, at time.Time) change {
	return func(s *State) {
		boundPrime(s)
		s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(Attempts{
			Hash: baseHash(), Pod: basePod(), Failures: 1, Mover: moverUID, At: at, Terminal: terminal,
			Reason: wire.AccessDenied, Message: "The key is not known.",
		})
	}
}

var doneReport = wire.Report{Class: wire.Done, Objects: 7, Bytes: 1 << 20, ManifestDigest: "sha256:abc"}

func encoded(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// rebound is the world between the rebind and the bind.
func rebound(s *State) {
	s.Promised = volume("pv-1", s.Claim)
	s.Promised.CreationTimestamp = metav1.NewTime(noon)
	s.Promised.Annotations[v1alpha1.AnnotationPopulatedFor] = claimUID
	if s.PrimeVolume != nil {
		s.PrimeVolume = s.Promised
	}
}

func boundToOurs(s *State) {
	rebound(s)
	s.Claim.Spec.VolumeName = "pv-1"
	s.Claim.Annotations[v1alpha1.AnnotationBindCompleted] = "yes"
	s.Claim.Status.Phase = corev1.ClaimBound
	s.ClaimVolume = s.Promised
}

func bindingToOurs(s *State) {
	boundToOurs(s)
	delete(s.Claim.Annotations, v1alpha1.AnnotationBindCompleted)
}

func slowBinder(s *State) { s.Now = noon.Add(bindPatience) }
func boundElsewhere(s *State) {
	s.Claim.Spec.VolumeName = "free"
	s.Claim.Annotations[v1alpha1.AnnotationBindCompleted] = "yes"
	s.Claim.Annotations[v1alpha1.AnnotationBoundByController] = "yes"
	s.ClaimVolume = volume("free", s.Claim)
	s.Promised = s.ClaimVolume
}

func preset(s *State) { delete(s.Claim.Annotations, v1alpha1.AnnotationBoundByController) }
func filledInAnotherLife(s *State) {
	s.ClaimVolume.Annotations = map[string]string{v1alpha1.AnnotationPopulatedFor: "earlier"}
}

// matched is what the PV controller does to a volume that nobody had reserved.
func matched(s *State) { s.ClaimVolume.Annotations[v1alpha1.AnnotationBoundByController] = "yes" }

// Movers.
func withMover(phase corev1.PodPhase, code int32, message string) change {
	return func(s *State) {
		s.Mover = &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: MoverName(s.Claim), Namespace: "team", UID: moverUID, Labels: labels(s.Claim, v1alpha1.RolePopulate),
				OwnerReferences:   []metav1.OwnerReference{ownerReference(s.Claim)},
				CreationTimestamp: metav1.NewTime(noon.Add(-time.Second)),
				Annotations: map[string]string{
					v1alpha1.AnnotationRequestHash: baseHash(), v1alpha1.AnnotationPodHash: basePod(), v1alpha1.AnnotationAttempt: "1",
					v1alpha1.AnnotationPrimeUID: primeUID,
				},
			},
			Status: corev1.PodStatus{Phase: phase},
		}
		if phase == corev1.PodSucceeded || phase == corev1.PodFailed {
			s.Mover.Status.ContainerStatuses = []corev1.ContainerStatus{{
				Name:  moverpod.ContainerName,
				State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Message: message}},
			}}
		}
	}
}

var (
	pendingMover = withMover(corev1.PodPending, 0, "")
	runningMover = withMover(corev1.PodRunning, 0, "")
	doneMover    = withMover(corev1.PodSucceeded, 0, string(doneReport.Encode()))
	silentMover  = withMover(corev1.PodSucceeded, 0, "")
	lyingMover   = withMover(corev1.PodFailed, 1, string(doneReport.Encode()))
	retryMover   = withMover(
		corev1.PodFailed,
		3,
		string(wire.Report{Class: wire.Retry, Reason: wire.TransferFailed, Message: "No luck."}.Encode()),
	)
	userMover = withMover(
		corev1.PodFailed,
		2,
		string(wire.Report{Class: wire.User, Reason: wire.AccessDenied, Message: "Wrong keys."}.Encode()),
	)
	// An earlier version of ours had another hash.
	olderMover = func(s *State) {
		runningMover(s)
		s.Mover.Annotations = map[string]string{v1alpha1.AnnotationSpecHash: "0123456789abcdef"}
	}
	olderDone = func(s *State) {
		doneMover(s)
		delete(s.Mover.Annotations, v1alpha1.AnnotationPrimeUID)
	}
	deletingMover = func(s *State) {
		runningMover(s)
		s.Mover.DeletionTimestamp = new(metav1.NewTime(noon))
	}
	// A prime of the same name was there before, and this mover was for it.
	ofEarlierPrime = func(s *State) { s.Mover.Annotations[v1alpha1.AnnotationPrimeUID] = "earlier-uid" }
	// So did one that an earlier version of ours made.
	beforeThePrime = func(s *State) {
		s.Mover.CreationTimestamp = metav1.NewTime(s.Prime.CreationTimestamp.Add(-time.Second))
	}
	foreignMover = func(s *State) {
		runningMover(s)
		s.Mover.Labels, s.Mover.OwnerReferences = nil, nil
	}
	evictedMover = func(s *State) {
		withMover(corev1.PodFailed, 137, "")(s)
		s.Mover.Status.Reason = "Evicted"
	}
	longMover = func(s *State) {
		runningMover(s)
		s.Mover.CreationTimestamp = metav1.NewTime(noon.Add(-moverQuiet))
	}
	toldToWait      = told(corev1.ConditionUnknown, v1alpha1.ReasonProvisioning)
	oldPendingMover = func(s *State) {
		pendingMover(s)
		s.Mover.CreationTimestamp = metav1.NewTime(noon.Add(-time.Minute))
		s.Trouble = `FailedMount: no such disk`
	}
)
