// SPDX-License-Identifier: Apache-2.0

package story

import "k8s.io/apimachinery/pkg/types"

// revision orders writes of all kinds: the API server's one etcd counts them.
type revision uint64

// claimRecord is what a claim of ours went through.
type claimRecord struct {
	namespace, name string
	uid             types.UID
	binds           []bind
	complete        bool // its condition says so
	gone            revision
}

// bind is a volume that a claim names from a revision on.
type bind struct {
	volume string
	at     revision
}

func (r *claimRecord) volume() string {
	if len(r.binds) == 0 {
		return ""
	}
	return r.binds[len(r.binds)-1].volume
}

// primeRecord is what a prime went through.
type primeRecord struct {
	namespace, name string
	claim           types.UID
	made            revision
	volume          string
	fills           []fill
}

// fill is the mover that a prime names as the one that filled it.
type fill struct {
	mover types.UID
	at    revision
}

func (r *primeRecord) filledBy() types.UID {
	if len(r.fills) == 0 {
		return ""
	}
	return r.fills[len(r.fills)-1].mover
}

// volumeRecord is what a volume went through.
type volumeRecord struct {
	name       string
	namespace  string // of its claims
	references []reference
	promises   []promise
	releases   []release
	exports    []release // before its claim goes: from when it is taken until it is given back
	writes     []stored  // of the manager
}

// reference is the claim that a volume names from a revision on; empty for none.
type reference struct {
	uid types.UID
	at  revision
}

func (r *volumeRecord) reference() reference {
	if len(r.references) == 0 {
		return reference{}
	}
	return r.references[len(r.references)-1]
}

// promise is the claim that a volume holds complete data for, from a revision on, and the claim that
// it was reserved for then; empty for a promise that was taken back.
type promise struct {
	claim, reserved types.UID
	at              revision
}

func (r *volumeRecord) promise() promise {
	if len(r.promises) == 0 {
		return promise{}
	}
	return r.promises[len(r.promises)-1]
}

// release tells whether a volume is being given back, from a revision on.
type release struct {
	on bool
	at revision
}

// releasing tells whether a volume was being given back before a revision.
func (r *volumeRecord) releasing(before revision) (on bool) {
	for _, each := range r.releases {
		if each.at < before {
			on = each.on
		}
	}
	return on
}

// exporting tells whether a volume was with an export claim at a revision, or was given back in it.
func (r *volumeRecord) exporting(at revision) (on bool) {
	for _, each := range r.exports {
		if each.at <= at {
			on = each.on || each.at == at
		}
	}
	return on
}

// takenFrom tells that a claim had the volume when it was first taken.
func (r *volumeRecord) takenFrom(claim types.UID) bool {
	var had types.UID
	for _, each := range r.references {
		if len(r.exports) > 0 && each.at < r.exports[0].at {
			had = each.uid
		}
	}
	return had == claim
}

// moverRecord is one pod that can write to a prime's volume.
type moverRecord struct {
	namespace, name string
	claim           types.UID
	succeeded       revision // its container ended with 0
	gone            revision // zero while it exists
}
