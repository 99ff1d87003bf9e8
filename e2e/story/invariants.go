// SPDX-License-Identifier: Apache-2.0

package story

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// invariants are what must hold at every moment, whatever a story does. What one watch shows
// in order is judged as it arrives; what takes two kinds of objects is kept, every time that
// it happens, and judged by the revisions of the API server, because the watches of two kinds
// do not keep step.
//
//  1. A claim of ours is only ever bound to a volume that was promised to it as complete, and
//     the promise came before the bind. What was told of it as complete stays so.
//  2. A volume is promised once and to one claim, in the write that reserves it, and stays so for
//     as long as the claim exists. The prime that it was made for was marked as filled before, by a
//     mover whose container ended with 0, and every mover of the claim was gone.
//  3. A claim has at most one prime and one living mover, whatever their names are, no prime after
//     a promise, and no mover leaves the API while its container runs.
//  4. The manager writes only to volumes that a prime has or had, no more once they are handed over,
//     and to those that became somebody else's only to end a release; and to the volume of a claim that
//     is exported before it goes, which it gives to an export claim and then back. Each write names the revision
//     that it is about and changes something, and each promise is such a write. Writes are those of
//     the API server's audit log: managed fields have whole seconds, and keep their time when a write
//     only removes fields.
//
// What belongs together is told by owner references and UIDs, not by names and labels, on which
// the manager itself relies.
type invariants struct {
	claims  map[types.UID]*claimRecord // ours
	primes  map[types.UID]*primeRecord
	volumes map[string]*volumeRecord
	movers  map[types.UID]*moverRecord
	// exporters are claims that have the volumes of others while those are exported.
	exporters map[types.UID]bool
	living    map[string]map[types.UID]string // "prime" or "mover" and the claim's UID: what lives, by UID
	broken    map[string][]string             // by namespace
	waived    map[string]bool                 // claims, by namespace/name, that a story lets be bound elsewhere
	audited   bool                            // writes are known
}

func newInvariants() *invariants {
	return &invariants{
		claims: map[types.UID]*claimRecord{}, primes: map[types.UID]*primeRecord{}, volumes: map[string]*volumeRecord{},
		movers: map[types.UID]*moverRecord{}, exporters: map[types.UID]bool{}, living: map[string]map[types.UID]string{},
		broken: map[string][]string{}, waived: map[string]bool{}, audited: true,
	}
}

func (l *invariants) breaks(namespace, format string, arguments ...any) {
	l.broken[namespace] = append(l.broken[namespace], fmt.Sprintf(format, arguments...))
}

// ownerClaim is the claim that an object was made for; empty for none.
func ownerClaim(o metav1.Object) types.UID {
	if owner := metav1.GetControllerOf(o); owner != nil && owner.Kind == "PersistentVolumeClaim" {
		return owner.UID
	}
	return ""
}

func (l *invariants) claim(c *corev1.PersistentVolumeClaim, gone bool) {
	now := revisionOf(c.ResourceVersion)
	if claim := ownerClaim(c); claim != "" {
		l.prime(c, claim, now, gone)
		return
	}
	if c.Labels[v1alpha1.LabelRole] == v1alpha1.RoleFinalExport {
		l.exporters[c.UID] = true
	}
	if !refersToUs(c) {
		return
	}
	r, ok := l.claims[c.UID]
	if !ok {
		r = &claimRecord{namespace: c.Namespace, name: c.Name, uid: c.UID}
		l.claims[c.UID] = r
	}
	if gone {
		r.gone = now
		return
	}
	if volume := c.Spec.VolumeName; volume != r.volume() {
		r.binds = append(r.binds, bind{volume, now})
	}
	complete := condition(c).Status == corev1.ConditionTrue
	if r.complete && !complete {
		l.breaks(c.Namespace, "claim %s was told to be complete, then %+v", c.Name, condition(c))
	}
	r.complete = complete
}

func (l *invariants) prime(c *corev1.PersistentVolumeClaim, claim types.UID, now revision, gone bool) {
	r, ok := l.primes[c.UID]
	if !ok {
		r = &primeRecord{namespace: c.Namespace, name: c.Name, claim: claim, made: now}
		l.primes[c.UID] = r
	}
	if c.Spec.VolumeName != "" {
		r.volume = c.Spec.VolumeName
	}
	if by := types.UID(c.Annotations[v1alpha1.AnnotationPopulated]); by != r.filledBy() {
		r.fills = append(r.fills, fill{by, now})
	}
	l.live("prime", c.Namespace, string(claim), being{c.UID, c.Name, !gone})
}

// refersToUs tells a claim whose dataSourceRef, which cannot be changed, names an S3Source.
func refersToUs(c *corev1.PersistentVolumeClaim) bool {
	ref := c.Spec.DataSourceRef
	return ref != nil && ref.APIGroup != nil && *ref.APIGroup == v1alpha1.Group && ref.Kind == v1alpha1.KindS3Source
}

func (l *invariants) recordOf(volume string) *volumeRecord {
	r, ok := l.volumes[volume]
	if !ok {
		r = &volumeRecord{name: volume}
		l.volumes[volume] = r
	}
	return r
}

// wrote notes a write of the manager on a volume, in the order of the audit log.
func (l *invariants) wrote(volume string, w stored) {
	r := l.recordOf(volume)
	r.writes = append(r.writes, w)
}

func (l *invariants) volume(v *corev1.PersistentVolume) {
	r := l.recordOf(v.Name)
	now, was := revisionOf(v.ResourceVersion), r.reference()
	ref := reference{at: now}
	if v.Spec.ClaimRef != nil {
		ref.uid, r.namespace = v.Spec.ClaimRef.UID, v.Spec.ClaimRef.Namespace
	}
	if ref.uid != was.uid {
		r.references = append(r.references, ref)
	}
	if on := v.Annotations[v1alpha1.AnnotationReleasing] != ""; on || len(r.releases) > 0 {
		r.releases = append(r.releases, release{on, now})
	}
	on := v.Annotations[v1alpha1.AnnotationFinalExport] != ""
	if n := len(r.exports); on && n == 0 || n > 0 && r.exports[n-1].on != on {
		r.exports = append(r.exports, release{on, now})
	}
	if claim := types.UID(v.Annotations[v1alpha1.AnnotationPopulatedFor]); claim != r.promise().claim {
		r.promises = append(r.promises, promise{claim: claim, reserved: ref.uid, at: now})
	}
}

func revisionOf(version string) revision {
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("resource version %q is no number", version))
	}
	return revision(n)
}
