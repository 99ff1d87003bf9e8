// SPDX-License-Identifier: Apache-2.0

package story

import (
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// revision orders writes of all kinds: the API server's one etcd counts them.
type revision uint64

// claimRecord is what a claim of ours, or a prime, went through.
type claimRecord struct {
	namespace, name string
	uid             types.UID
	boundTo         string
	boundAt         revision
	filledAt        revision // of a prime: marked as populated
}

// volumeRecord is what a volume went through.
type volumeRecord struct {
	name       string
	populated  map[types.UID]revision // by claim: when it was promised as complete
	writtenFor map[types.UID]bool     // claimRefs under which the manager wrote to it
	written    string                 // what the API server noted of the manager's latest writes
	namespace  string                 // of its claims
}

// moverRecord is one mover pod.
type moverRecord struct {
	namespace, name string
	claim           types.UID
	gone            revision // zero while it exists
}

// invariants are what must hold at every moment, whatever a story does:
//
//  1. A claim of ours is only ever bound to a volume that was promised to it as complete,
//     and the promise came before the bind.
//  2. A volume is promised only after its prime was marked as filled, and after every mover
//     of the claim was gone.
//  3. A claim has at most one prime and one living mover.
//  4. The manager writes only to volumes of its primes and of claims of its own kind.
type invariants struct {
	claims  map[types.UID]*claimRecord // ours
	primes  map[types.UID]*claimRecord
	volumes map[string]*volumeRecord
	movers  map[types.UID]*moverRecord
	living  map[string]map[types.UID]string // "prime" or "mover" and the claim's UID: what lives, by UID
	broken  map[string][]string             // by namespace
	waived  map[string]bool                 // claims, by namespace/name, that a story lets be bound elsewhere
}

func newInvariants() *invariants {
	return &invariants{
		claims: map[types.UID]*claimRecord{}, primes: map[types.UID]*claimRecord{}, volumes: map[string]*volumeRecord{},
		movers: map[types.UID]*moverRecord{}, living: map[string]map[types.UID]string{}, broken: map[string][]string{}, waived: map[string]bool{},
	}
}

func (l *invariants) claim(c *corev1.PersistentVolumeClaim, gone bool) {
	if c.Labels[v1alpha1.LabelRole] == v1alpha1.RolePrime {
		r := record(l.primes, c)
		if r.filledAt == 0 && c.Annotations[v1alpha1.AnnotationPopulated] != "" {
			r.filledAt = revisionOf(c.ResourceVersion)
		}
		l.live("prime", c.Namespace, c.Labels[v1alpha1.LabelClaimUID], being{c.UID, c.Name, !gone})
		return
	}
	if ref := c.Spec.DataSourceRef; ref == nil || ref.Kind != v1alpha1.KindS3Source {
		return
	}
	r := record(l.claims, c)
	if r.boundAt == 0 && c.Spec.VolumeName != "" {
		r.boundTo, r.boundAt = c.Spec.VolumeName, revisionOf(c.ResourceVersion)
	}
}

func record(in map[types.UID]*claimRecord, c *corev1.PersistentVolumeClaim) *claimRecord {
	r, ok := in[c.UID]
	if !ok {
		r = &claimRecord{namespace: c.Namespace, name: c.Name, uid: c.UID}
		in[c.UID] = r
	}
	return r
}

func (l *invariants) volume(v *corev1.PersistentVolume) {
	r, ok := l.volumes[v.Name]
	if !ok {
		r = &volumeRecord{name: v.Name, populated: map[types.UID]revision{}, writtenFor: map[types.UID]bool{}}
		l.volumes[v.Name] = r
	}
	if v.Spec.ClaimRef != nil {
		r.namespace = v.Spec.ClaimRef.Namespace
	}
	if now := writesOfManager(v); now != r.written {
		r.written = now
		if v.Spec.ClaimRef != nil {
			r.writtenFor[v.Spec.ClaimRef.UID] = true
		}
	}
	if uid := types.UID(v.Annotations[v1alpha1.AnnotationPopulatedFor]); uid != "" && r.populated[uid] == 0 {
		r.populated[uid] = revisionOf(v.ResourceVersion)
	}
}

func (l *invariants) pod(p *corev1.Pod, gone bool) {
	if p.Labels[v1alpha1.LabelRole] != v1alpha1.RolePopulate || p.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
		return
	}
	r, ok := l.movers[p.UID]
	if !ok {
		r = &moverRecord{namespace: p.Namespace, name: p.Name, claim: types.UID(p.Labels[v1alpha1.LabelClaimUID])}
		l.movers[p.UID] = r
	}
	if gone {
		r.gone = revisionOf(p.ResourceVersion)
	}
	ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	l.live("mover", p.Namespace, string(r.claim), being{p.UID, p.Name, !gone && !ended})
}

type being struct {
	uid   types.UID
	name  string
	lives bool
}

// writesOfManager changes with each write of the manager, and with nobody else's: a volume
// keeps the names of those who wrote under an earlier claim.
func writesOfManager(v *corev1.PersistentVolume) (all string) {
	for _, e := range v.ManagedFields {
		if e.Manager == ManagerName && e.Time != nil {
			all += e.Time.String() + e.Subresource
		}
	}
	return all
}

func (l *invariants) live(kind, namespace, claim string, b being) {
	key := kind + " " + claim
	if l.living[key] == nil {
		l.living[key] = map[types.UID]string{}
	}
	if !b.lives {
		delete(l.living[key], b.uid)
		return
	}
	if _, told := l.living[key][b.uid]; told {
		return
	}
	l.living[key][b.uid] = b.name
	if len(l.living[key]) > 1 {
		l.broken[namespace] = append(
			l.broken[namespace],
			fmt.Sprintf("claim %s has %d living %ss at once: %v", claim, len(l.living[key]), kind, l.living[key]),
		)
	}
}

func revisionOf(version string) revision {
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("resource version %q is no number", version))
	}
	return revision(n)
}

// verdict judges what a namespace went through, once its story has ended.
func (l *invariants) verdict(namespace string) []string {
	out := slices.Clone(l.broken[namespace])
	for _, c := range l.claims {
		if c.namespace == namespace && c.boundAt > 0 && !l.waived[c.namespace+"/"+c.name] {
			out = append(out, l.judgeBound(c)...)
		}
	}
	for _, v := range l.volumes {
		if v.namespace != namespace {
			continue
		}
		for uid := range v.writtenFor {
			if l.claims[uid] == nil && l.primes[uid] == nil {
				out = append(
					out,
					fmt.Sprintf(
						"the manager wrote to volume %s of claim UID %s, which is neither a prime nor a claim of ours",
						v.name,
						uid,
					),
				)
			}
		}
	}
	return out
}

// filledBefore tells whether a prime of the claim was marked as filled before a revision.
func (l *invariants) filledBefore(c *claimRecord, r revision) bool {
	for _, p := range l.primes {
		if p.name == "s3prime-"+string(c.uid) && p.filledAt > 0 && p.filledAt < r {
			return true
		}
	}
	return false
}

func (l *invariants) judgeBound(c *claimRecord) (out []string) {
	v := l.volumes[c.boundTo]
	if v == nil || v.populated[c.uid] == 0 {
		return []string{
			fmt.Sprintf("claim %s was bound to volume %s, which was never promised to it as complete", c.name, c.boundTo),
		}
	}
	promised := v.populated[c.uid]
	if promised >= c.boundAt {
		out = append(
			out,
			fmt.Sprintf(
				"claim %s was bound at revision %d, before volume %s was promised as complete at %d",
				c.name,
				c.boundAt,
				v.name,
				promised,
			),
		)
	}
	if !l.filledBefore(c, promised) {
		out = append(
			out,
			fmt.Sprintf(
				"volume %s was promised to claim %s at revision %d without a prime that was marked as filled before",
				v.name,
				c.name,
				promised,
			),
		)
	}
	for _, m := range l.movers {
		if m.claim == c.uid && (m.gone == 0 || m.gone > promised) {
			out = append(
				out,
				fmt.Sprintf(
					"mover %s was still there (gone at %d) when volume %s was promised at %d",
					m.name,
					m.gone,
					v.name,
					promised,
				),
			)
		}
	}
	return out
}
