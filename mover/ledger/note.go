// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/s3populator/s3populator/mover/plan"
)

// verifiedFile is what a line of the journal says of a file beyond the plan, as it was before a sync. In little memory:
// while a slow device syncs, a mover verifies hundreds of thousands of them.
type verifiedFile struct {
	modTime int64
	entry   int32
	by      plan.Method
}

// found are those files that are still the ones that were verified.
func (k *Checkpointer) found(pending []int32) []verifiedFile {
	list := make([]verifiedFile, 0, len(pending))
	for _, i := range pending {
		stat, err := k.Volume.Stat(k.Ledger.Plan.Entries.At(int(i)).Path)
		if err == nil && k.Ledger.IsFile(int(i), plan.IdentityOf(&stat)) {
			list = append(list, verifiedFile{stat.Mtim.Nano(), i, k.Ledger.Method(int(i))})
		}
	}
	return list
}

// linesAtOnce are made of verified files before the next ones are: each takes some hundred bytes.
const linesAtOnce = 1000

// eachLines describes verified files, some at a time.
func (l *Ledger) eachLines(verified []verifiedFile, visit func([]Line) error) error {
	lines := make([]Line, 0, min(len(verified), linesAtOnce))
	for some := range slices.Chunk(verified, linesAtOnce) {
		lines = lines[:0]
		for _, f := range some {
			e := l.Plan.Entries.At(int(f.entry))
			lines = append(lines, Line{
				Path: e.Path, Size: e.Size, ModTime: f.modTime, By: f.by, ETag: l.Plan.TagText(e.ETag),
			})
		}
		if err := visit(lines); err != nil {
			return err
		}
	}
	return nil
}

// note writes to the journal what is durable.
func (k *Checkpointer) note(verified []verifiedFile, parts map[int]Extents) error {
	if err := k.Ledger.eachLines(verified, k.Journal.append); err != nil {
		return err
	}
	var lines []Line
	for i, x := range parts {
		for _, r := range x {
			lines = append(lines, k.Ledger.part(i, r))
		}
	}
	return k.Journal.Add(lines)
}
