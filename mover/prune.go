// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"fmt"
	"strings"

	"github.com/s3populator/s3populator/mover/upload"
	"github.com/s3populator/s3populator/mover/wire"
)

// prune removes the objects of a complete run.
func (m *mover) prune(ctx context.Context) error {
	if _, err := m.source.Identities.Get(ctx); err != nil {
		return err // Said better here than from inside the client.
	}
	var err error
	m.pruned, err = upload.Prune(ctx, m.request, m.uploadSetup())
	m.status.progressed.Store(m.pruned.Deleted > 0)
	return err
}

// reportPrune adds what a Prune has done.
func (m *mover) reportPrune(r *wire.Report) {
	p := m.pruned
	r.Objects, r.Bytes, r.DeletedObjects = p.Objects, p.Bytes, p.Deleted
	r.OtherObjects = p.Changed.Count + p.Listed.Count
	r.Whole = p.Whole
	r.Message = pruneSummary(p)
}

// pruneSummary is for people.
func pruneSummary(p upload.Pruned) string {
	if p.Unknown {
		return "removed nothing: there is no manifest of this run below its prefix"
	}
	parts := []string{fmt.Sprintf("removed %d objects", p.Deleted)}
	if p.Gone > 0 {
		parts = append(parts, fmt.Sprintf("%d were gone", p.Gone))
	}
	for _, e := range []upload.Examples{p.Changed, p.Listed} {
		if e.Count > 0 {
			parts = append(parts, fmt.Sprintf("%d stay: %s", e.Count, strings.Join(e.First, ", ")))
		}
	}
	return strings.Join(parts, "; ")
}
