// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"io"

	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
)

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
