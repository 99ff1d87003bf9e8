// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"io"
	"testing"

	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
)

// attemptOn is a transfer to a directory that it has taken over.
func attemptOn(t *testing.T, dir string, prover *proof.Prover) *transfer {
	t.Helper()
	v, err := volume.Open(dir, "")
	mustDo(t, err)
	t.Cleanup(v.Close)
	j, err := ledger.TakeOver(v.Root, plan.Header{Claim: testClaim, Pod: "this-pod", Request: "r"})
	mustDo(t, err)
	t.Cleanup(j.Close)
	mustDo(t, v.MakeTarget())
	return transferOf(v, j, prover)
}

// transferOf is a transfer that has listed its source, which it cannot ask any more, and entered the volume.
func transferOf(v *volume.Volume, j *ledger.Journal, prover *proof.Prover) *transfer {
	log, sent := &logger{to: io.Discard}, &progress{}
	l := &listing{progress: sent, log: log, plan: prover.Plan, prover: prover}
	f := &fetcher{listing: l, progress: sent}
	return &transfer{
		log: log, progress: sent, status: &status{}, listing: l, fetcher: f,
		rounds: &rounds{listing: l, fetcher: f, log: log},
		plan:   prover.Plan, prover: prover, volume: v, journal: j, ledger: ledger.New(prover.Plan),
	}
}

// importingOf is an import that has listed its source, which it cannot ask any more.
func importingOf(u *volume.InUse, prover *proof.Prover) *importing {
	log, sent := &logger{to: io.Discard}, &progress{}
	l := &listing{progress: sent, log: log, plan: prover.Plan, prover: prover}
	return &importing{
		log: log, progress: sent, status: &status{}, listing: l,
		plan: prover.Plan, prover: prover, ledger: ledger.New(prover.Plan), inUse: u,
	}
}
