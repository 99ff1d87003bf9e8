// SPDX-License-Identifier: Apache-2.0

package story

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// verdict judges what a namespace went through so far.
func (l *invariants) verdict(namespace string) []string {
	out := slices.Clone(l.broken[namespace])
	for _, c := range l.claims {
		if c.namespace == namespace && !l.waived[c.namespace+"/"+c.name] {
			out = append(out, l.judgeBinds(c)...)
		}
	}
	for _, v := range l.volumes {
		if v.namespace == namespace {
			out = append(out, l.judgePromises(v)...)
			out = append(out, l.judgeWrites(v)...)
		}
	}
	slices.Sort(out)
	return out
}

// judgeBinds: every volume that a claim ever named was promised to it before.
func (l *invariants) judgeBinds(c *claimRecord) (out []string) {
	for i, b := range c.binds {
		if i > 0 {
			out = append(out, fmt.Sprintf("claim %s was bound to %s, then to %q", c.name, c.binds[i-1].volume, b.volume))
		}
		switch p, ok := l.promised(b.volume, c.uid); {
		case b.volume == "":
		case !ok:
			out = append(
				out,
				fmt.Sprintf("claim %s was bound to volume %s, which was never promised to it as complete", c.name, b.volume),
			)
		case p.at >= b.at:
			out = append(out, fmt.Sprintf("claim %s was bound at revision %d, before volume %s was promised as complete at %d",
				c.name, b.at, b.volume, p.at))
		}
	}
	return out
}

// promised is the first promise of a volume to a claim.
func (l *invariants) promised(volume string, claim types.UID) (promise, bool) {
	if v := l.volumes[volume]; v != nil {
		for _, p := range v.promises {
			if p.claim == claim {
				return p, true
			}
		}
	}
	return promise{}, false
}

// judgePromises looks at each promise of a volume, also at those to claims that were never bound.
//
//nolint:gocyclo // Each condition is a broken promise.
func (l *invariants) judgePromises(v *volumeRecord) (out []string) {
	tell := func(format string, a ...any) {
		out = append(out, fmt.Sprintf("volume %s, ", v.name)+fmt.Sprintf(format, a...))
	}
	for i, p := range v.promises {
		c := l.claims[p.claim]
		if c == nil {
			continue // an earlier promise that was taken back, or a claim of another life of the cluster
		}
		if i+1 < len(v.promises) && l.there(c, v.promises[i+1].at) {
			tell(
				"promised to claim %s, was promised to %q at revision %d, while that claim was there",
				c.name,
				v.promises[i+1].claim,
				v.promises[i+1].at,
			)
		}
		if l.audited && !slices.ContainsFunc(v.writes, func(w stored) bool { return w.at == p.at }) {
			tell("promised to claim %s at revision %d, was not promised by a write of the manager", c.name, p.at)
		}
		if p.reserved != p.claim {
			tell("promised to claim %s at revision %d, was not reserved for it in the same write", c.name, p.at)
		}
		for _, r := range v.references {
			if r.at > p.at && r.uid != p.claim && l.there(c, r.at) {
				tell("promised to claim %s, was given to claim %q at revision %d", c.name, r.uid, r.at)
			}
		}
		for _, other := range l.volumes {
			if second, ok := l.promised(other.name, p.claim); ok && other.name > v.name {
				tell("promised to claim %s, has a second one: %s at revision %d", c.name, other.name, second.at)
			}
		}
		l.judgePrimes(c, v, p, tell)
		for _, m := range l.movers {
			if m.claim == c.uid && (m.gone == 0 || m.gone > p.at) {
				tell("promised to claim %s at revision %d, still had mover %s (gone at %d)", c.name, p.at, m.name, m.gone)
			}
		}
	}
	return out
}

// judgePrimes: the volume was that of a prime which was filled by a mover that succeeded, and no
// prime came after the promise.
func (l *invariants) judgePrimes(c *claimRecord, v *volumeRecord, p promise, tell func(string, ...any)) {
	filled := false
	for _, prime := range l.primes {
		if prime.claim != c.uid {
			continue
		}
		if prime.made > p.at {
			tell("promised to claim %s at revision %d, was followed by prime %s at %d", c.name, p.at, prime.name, prime.made)
		}
		for _, f := range prime.fills {
			m := l.movers[f.mover]
			filled = filled ||
				prime.volume == v.name && f.at < p.at && m != nil && m.claim == c.uid && m.succeeded > 0 && m.succeeded < f.at
		}
	}
	if !filled {
		tell(
			"promised to claim %s at revision %d, had no prime that a mover which succeeded was marked to have filled before",
			c.name,
			p.at,
		)
	}
}

func (l *invariants) there(c *claimRecord, at revision) bool { return c.gone == 0 || c.gone > at }

// judgeWrites: the manager has a say in volumes that primes have or had.
func (l *invariants) judgeWrites(v *volumeRecord) (out []string) {
	for i, w := range v.writes {
		var wrong string
		switch {
		case w.at == 0:
			wrong = "and the audit log does not have what became of it"
		case !w.guarded:
			wrong = "without a resourceVersion"
		case slices.ContainsFunc(v.writes[:i], func(earlier stored) bool { return earlier.at == w.at }):
			wrong = "which changed nothing"
		default:
			wrong = l.wrongVolume(v, w)
		}
		if wrong != "" {
			out = append(out, fmt.Sprintf("the manager wrote at revision %d to volume %s, %s", w.at, v.name, wrong))
		}
	}
	return out
}

// wrongVolume tells why a volume is not one that the manager may write to; empty for nothing.
func (l *invariants) wrongVolume(v *volumeRecord, w stored) string {
	switch {
	case v.exporting(w.at) && (l.exporters[w.ref] || v.takenFrom(w.ref)):
		return ""
	case v.exporting(w.at):
		return fmt.Sprintf("of claim UID %s, which is neither an export claim nor the one that goes", w.ref)
	case !l.ofPrime(v, 0, w.at):
		return "which no prime has or had"
	case !l.ofPrime(v, l.promisedBefore(v, w.at), w.at):
		return "which was handed over before"
	case w.ref != "" && l.claims[w.ref] == nil && l.primes[w.ref] == nil && !v.releasing(w.at):
		return fmt.Sprintf("of claim UID %s, which is neither a prime nor a claim of ours", w.ref)
	}
	return ""
}

// ofPrime tells that a prime was given a volume after one revision, up to another.
func (l *invariants) ofPrime(v *volumeRecord, after, until revision) bool {
	return slices.ContainsFunc(v.references, func(r reference) bool {
		return r.at > after && r.at <= until && l.primes[r.uid] != nil
	})
}

// promisedBefore is the last promise of a volume to a claim of ours before a revision, zero for none.
func (l *invariants) promisedBefore(v *volumeRecord, at revision) (last revision) {
	for _, p := range v.promises {
		if p.at < at && l.claims[p.claim] != nil {
			last = p.at
		}
	}
	return last
}
