// SPDX-License-Identifier: Apache-2.0

package story

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// history plays what a namespace goes through, in the order of the calls but with revisions of
// the caller's, as the watches of several kinds bring them.
type history struct{ *invariants }

func owned(name, uid, version string) metav1.ObjectMeta {
	m := object(name, uid, version)
	m.OwnerReferences = []metav1.OwnerReference{{Kind: "PersistentVolumeClaim", UID: "c", Controller: new(true)}}
	return m
}

func object(name, uid, version string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:            name,
		Namespace:       "n",
		UID:             types.UID(uid),
		ResourceVersion: version,
		Annotations:     map[string]string{},
	}
}

func (h history) user(version, volume string, complete corev1.ConditionStatus, gone bool) {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: object("data", "c", version)}
	c.Spec = corev1.PersistentVolumeClaimSpec{
		DataSourceRef: &corev1.TypedObjectReference{APIGroup: new(v1alpha1.Group), Kind: v1alpha1.KindS3Source},
		VolumeName:    volume,
	}
	c.Status.Conditions = []corev1.PersistentVolumeClaimCondition{{Type: v1alpha1.ConditionPopulated, Status: complete}}
	h.claim(c, gone)
}

func (h history) primed(uid, version, filledBy string, gone bool) {
	p := &corev1.PersistentVolumeClaim{ObjectMeta: owned("prime-"+uid, uid, version)}
	p.Spec.VolumeName = "v"
	if filledBy != "" {
		p.Annotations[v1alpha1.AnnotationPopulated] = filledBy
	}
	h.claim(p, gone)
}

// moving is a mover whose container is in a state: "waiting", "running", "ended" or "failed".
func (h history) moving(uid, version, state string, gone bool) {
	p := &corev1.Pod{ObjectMeta: owned("mover-"+uid, uid, version)}
	p.Spec = corev1.PodSpec{
		NodeName:   rundir.NodeName,
		Containers: []corev1.Container{{VolumeMounts: []corev1.VolumeMount{{Name: "volume"}}}},
		Volumes: []corev1.Volume{{Name: "volume", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "prime"},
		}}},
	}
	s := map[string]corev1.ContainerState{
		"waiting": {Waiting: &corev1.ContainerStateWaiting{}},
		"running": {Running: &corev1.ContainerStateRunning{}},
		"ended":   {Terminated: &corev1.ContainerStateTerminated{}},
		"failed":  {Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}},
	}[state]
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: s}}
	h.pod(p, gone)
}

// Who left a volume as it is stored.
const ours, others = true, false

//nolint:revive // As a row of a table.
func (h history) stored(name, version, ref, promised string, written bool, marks ...string) {
	v := &corev1.PersistentVolume{ObjectMeta: object(name, name, version)}
	if ref != "" {
		v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "n", UID: types.UID(ref)}
	}
	if promised != "" {
		v.Annotations[v1alpha1.AnnotationPopulatedFor] = promised
	}
	for _, mark := range marks {
		v.Annotations[mark] = "c"
	}
	h.volume(v)
	if written {
		h.wrote(name, stored{at: revisionOf(version), ref: types.UID(ref), guarded: true})
	}
}

// exportedHistory is an export of the volume of claim c before it goes, which ends with claim last.
func exportedHistory(last string) func() history {
	return func() history {
		h := history{newInvariants()}
		exporter := &corev1.PersistentVolumeClaim{ObjectMeta: object("s3export-c", "e", "4")}
		exporter.Labels = map[string]string{v1alpha1.LabelRole: v1alpha1.RoleFinalExport}
		h.stored("v", "3", "c", "", others)
		h.claim(exporter, false)
		h.stored("v", "5", "e", "", ours, v1alpha1.AnnotationFinalExport)
		h.stored("v", "6", "e", "", others, v1alpha1.AnnotationFinalExport)
		h.stored("v", "7", last, "", ours)
		return h
	}
}

// filled is a sound population up to the moment before the promise, which is revision 20.
func filled() history {
	h := history{newInvariants()}
	h.user("1", "", "", false)
	h.primed("p", "2", "", false)
	h.stored("v", "3", "p", "", others)
	h.stored("v", "4", "p", "", ours)
	h.moving("m", "5", "waiting", false)
	h.moving("m", "6", "running", false)
	h.moving("m", "7", "ended", false)
	h.primed("p", "8", "m", false)
	h.moving("m", "9", "ended", true)
	return h
}

// bound is a sound population.
func bound() history {
	h := filled()
	h.stored("v", "20", "c", "c", ours)
	h.user("21", "v", "", false)
	h.user("22", "v", corev1.ConditionTrue, false)
	h.primed("p", "23", "m", true)
	return h
}

// Every invariant notices when it is broken, whenever that is.
func TestInvariants(t *testing.T) {
	tests := map[string]struct {
		play func() history
		want string // part of the only verdict; empty for none
	}{
		"a sound population": {bound, ""},
		"a volume that is somebody else's after the claim": {func() history {
			h := bound()
			h.user("30", "v", corev1.ConditionTrue, true)
			h.stored("v", "31", "", "c", others)
			h.stored("v", "32", "someone", "c", others)
			return h
		}, ""},
		"bound to an unpromised volume": {func() history {
			h := filled()
			h.stored("v", "20", "c", "", ours)
			h.user("21", "v", "", false)
			return h
		}, "never promised"},
		"bound before the promise": {func() history {
			h := filled()
			h.user("19", "v", "", false)
			h.stored("v", "20", "c", "c", ours)
			return h
		}, "before volume v was promised"},
		"bound to another one later": {func() history {
			h := bound()
			h.user("30", "", corev1.ConditionTrue, false)
			return h
		}, "then to \"\""},
		"promised to a claim that is never bound, and not filled": {func() history {
			h := history{newInvariants()}
			h.user("1", "", "", false)
			h.primed("p", "2", "", false)
			h.stored("v", "3", "p", "", others)
			h.stored("v", "20", "c", "c", ours)
			return h
		}, "had no prime that a mover"},
		"promised before it was marked as filled": {func() history {
			h := filled()
			h.primes["p"].fills[0].at = 21
			h.stored("v", "20", "c", "c", ours)
			return h
		}, "had no prime that a mover"},
		"filled by a mover that failed": {func() history {
			h := bound()
			h.movers["m"].succeeded = 0
			return h
		}, "had no prime that a mover"},
		"promised while a mover was there": {func() history {
			h := bound()
			h.movers["m"].gone = 21
			return h
		}, "still had mover mover-m (gone at 21)"},
		"promised, and a mover begins after it": {func() history {
			h := bound()
			h.moving("m2", "30", "waiting", false)
			return h
		}, "still had mover mover-m2"},
		"a promise that is revoked": {func() history {
			h := bound()
			h.stored("v", "30", "c", "", others)
			return h
		}, `was promised to "" at revision 30`},
		"a promise that is revoked and made again": {func() history {
			h := filled()
			h.stored("v", "20", "c", "c", ours)
			h.stored("v", "21", "c", "", others)
			return h
		}, `was promised to "" at revision 21`},
		"a volume that is given to a second claim": {func() history {
			h := bound()
			h.user("24", "v", corev1.ConditionTrue, false)
			h.stored("v", "30", "another", "c", others)
			return h
		}, `was given to claim "another" at revision 30`},
		"a volume that is not reserved when it is promised": {func() history {
			h := filled()
			h.stored("v", "20", "p", "c", ours)
			return h
		}, "was not reserved for it in the same write"},
		"a claim that was complete and is not": {func() history {
			h := bound()
			h.user("30", "v", corev1.ConditionFalse, false)
			return h
		}, "was told to be complete, then"},
		"a second prime after the promise": {func() history {
			h := bound()
			h.primed("p2", "30", "", false)
			return h
		}, "was followed by prime prime-p2"},
		"two movers at once, one of them gone in the end": {func() history {
			h := filled()
			h.moving("m2", "10", "running", false)
			h.moving("m3", "11", "running", false)
			h.moving("m3", "12", "ended", true)
			h.moving("m2", "13", "ended", true)
			return h
		}, "2 living movers"},
		"one mover after another": {func() history {
			h := filled()
			h.moving("m2", "10", "failed", false)
			h.moving("m3", "11", "running", false)
			return h
		}, ""},
		"two primes at once": {func() history {
			h := filled()
			h.primed("p2", "10", "", false)
			return h
		}, "2 living primes"},
		"a mover that is removed while it runs": {func() history {
			h := filled()
			h.moving("m2", "10", "running", false)
			h.moving("m2", "11", "running", true)
			return h
		}, "left the API while its container ran"},
		"a write to a free volume that was matched": {func() history {
			h := history{newInvariants()}
			h.user("1", "", "", false)
			h.waived["n/data"] = true
			h.stored("v", "3", "c", "", others)
			h.user("4", "v", "", false)
			h.stored("v", "5", "c", "", ours)
			return h
		}, "which no prime has or had"},
		"a volume that is taken from its claim and given back": {exportedHistory("c"), ""},
		"a volume that is given back to another claim":         {exportedHistory("d"), "which is neither an export claim"},
		"a write after it was given back": {func() history {
			h := exportedHistory("c")()
			h.stored("v", "9", "c", "", ours)
			return h
		}, "which no prime has or had"},
		"a write to a volume that was released": {func() history {
			h := bound()
			h.user("30", "v", corev1.ConditionTrue, true)
			h.stored("v", "31", "c", "c", ours)
			return h
		}, "which was handed over before"},
		"a second write to a volume, within the second of the hand-over": {func() history {
			h := bound()
			h.stored("v", "24", "c", "c", ours)
			return h
		}, "which was handed over before"},
		"the reference of a volume that was handed over is removed, after its claim": {func() history {
			h := bound()
			h.user("30", "v", corev1.ConditionTrue, true)
			h.stored("v", "31", "", "c", ours)
			return h
		}, "which was handed over before"},
		"a write that the watch never showed": {func() history {
			h := bound()
			h.wrote("v", stored{at: 24, ref: "c", guarded: true})
			return h
		}, "which was handed over before"},
		"a promise without a resourceVersion": {func() history {
			h := bound()
			h.volumes["v"].writes[1].guarded = false
			return h
		}, "at revision 20 to volume v, without a resourceVersion"},
		"a write that changes nothing": {func() history {
			h := bound()
			h.wrote("v", stored{at: 20, ref: "c", guarded: true})
			return h
		}, "which changed nothing"},
		"a write whose answer is not recorded": {func() history {
			h := bound()
			h.volumes["v"].writes[0].at = 0
			return h
		}, "does not have what became of it"},
		"a promise that the manager did not write": {func() history {
			h := filled()
			h.stored("v", "20", "c", "c", others)
			return h
		}, "was not promised by a write of the manager"},
		"a volume that was freed and given to another prime": {func() history {
			h := bound()
			h.user("30", "v", corev1.ConditionTrue, true)
			h.stored("v", "31", "", "c", others)
			h.primed("p2", "32", "", false)
			h.primes["p2"].claim = "another"
			h.stored("v", "33", "p2", "c", others)
			h.stored("v", "34", "p2", "c", ours, v1alpha1.AnnotationReleasing)
			h.stored("v", "35", "", "c", ours, v1alpha1.AnnotationReleasing)
			return h
		}, ""},
		"a write to somebody else's volume": {func() history {
			h := filled()
			h.stored("v", "30", "someone", "", others)
			h.stored("v", "31", "someone", "", ours)
			return h
		}, "neither a prime nor a claim of ours"},
		"the last write of a release, after somebody else took the volume": {func() history {
			h := filled()
			h.stored("v", "30", "someone", "", others, v1alpha1.AnnotationReleasing)
			h.stored("v", "31", "someone", "", ours)
			return h
		}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := test.play().verdict("n")
			if test.want == "" && len(got) == 0 || test.want != "" && len(got) == 1 && strings.Contains(got[0], test.want) {
				return
			}
			t.Errorf("got %q, want one with %q", got, test.want)
		})
	}
}

// A consumer of ours is no mover.
func TestMayWrite(t *testing.T) {
	for name, test := range map[string]struct {
		mount, source, want bool // read-only, read-only, may write
	}{
		"a mover":             {want: true},
		"a read-only mount":   {mount: true},
		"a read-only volume":  {source: true},
		"both are read-only ": {mount: true, source: true},
	} {
		p := &corev1.Pod{Spec: corev1.PodSpec{
			Containers: []corev1.Container{{VolumeMounts: []corev1.VolumeMount{{Name: "v", ReadOnly: test.mount}}}},
			Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ReadOnly: test.source},
			}}},
		}}
		if got := mayWrite(p); got != test.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}
