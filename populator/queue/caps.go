// SPDX-License-Identifier: Apache-2.0

// Package queue decides which mover may start: caps for the cluster, each namespace, each
// endpoint and each source, and namespaces in turns. It can do no I/O. What runs is read
// from the movers that there are; what is kept in memory is only who asked and who was just
// let in, so that a restart forgets nothing that matters.
package queue

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Cap is what a number of movers is counted for.
type Cap string

// The caps, the narrowest first.
const (
	Source    Cap = "Source"
	Endpoint  Cap = "Endpoint"
	Namespace Cap = "Namespace"
	Cluster   Cap = "Cluster"
)

// Caps are what an administrator allows to run at once; 0 is no cap.
type Caps struct {
	Cluster, Namespace, Endpoint int
}

// Use is what a mover counts to.
type Use struct {
	// UID of the claim that is filled, of the source that is listed, or of the S3Export or S3Import.
	UID       types.UID
	Namespace string
	// Endpoint is the host of the S3 server; empty is AWS, which is not counted.
	Endpoint string
	// Source is the UID of the source that is read.
	Source string
	// Places is how many pods run at once for it, at least 1.
	Places int
}

// Request asks for the places of one mover.
type Request struct {
	Use
	// Role of the mover, a value of v1alpha1.LabelRole.
	Role string
	// Name of the claim, source, export or import that is looked at again when its turn comes.
	Name types.NamespacedName
	// Since orders the requests of one namespace: when the claim or source was made.
	Since time.Time
	// SourceMax is spec.transfer.maxMovers of the source; 0 is no cap.
	SourceMax int
}

// bound is one cap that a mover counts to.
type bound struct {
	kind Cap
	name string
}

// limit is one cap that a request must keep.
type limit struct {
	bound

	most int
}

// limits of a request, the narrowest first, so that the message names what to change.
func (c Caps) limits(r Request) []limit {
	var all []limit
	for _, l := range []limit{
		{bound{Source, r.Source}, r.SourceMax},
		{bound{Endpoint, r.Endpoint}, c.Endpoint},
		{bound{Namespace, r.Namespace}, c.Namespace},
		{bound{Cluster, ""}, c.Cluster},
	} {
		if l.most > 0 && (l.name != "" || l.kind == Cluster || l.kind == Namespace) {
			all = append(all, l)
		}
	}
	return all
}

// places counts what is taken.
type places map[bound]int

func (p places) add(u Use) {
	n := max(1, u.Places)
	p[bound{Cluster, ""}] += n
	p[bound{Namespace, u.Namespace}] += n
	if u.Endpoint != "" {
		p[bound{Endpoint, u.Endpoint}] += n
	}
	if u.Source != "" {
		p[bound{Source, u.Source}] += n
	}
}

// full is the first limit that a waiter does not fit. One that wants more places than a cap
// has fits when nobody else is there.
func (p places) full(w *waiter) (limit, bool) {
	for _, l := range w.limits {
		if p[l.bound]+min(max(1, w.Places), l.most) > l.most {
			return l, true
		}
	}
	return limit{}, false
}
