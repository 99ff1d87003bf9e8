// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
)

// Survey tells up to a few names on the volume that the plan does not name, and the entries
// whose files are there with their size. Also tells of more that may be there; nil for nothing.
// Nothing is changed.
func (v *Volume) Survey(
	ctx context.Context,
	p *plan.Plan,
	also func(planned string, e fs.DirEntry) bool,
) (foreign []string, found []int, err error) {
	w := &surveyor{Sweep: Sweep{Volume: v, Plan: p, Also: also}}
	w.Keep = func(i int, stat *unix.Stat_t) bool {
		w.found = append(w.found, i)
		return stat.Size == p.Entries.Size(i)
	}
	err = w.directory(ctx, ".")
	return w.foreign, w.found, err
}

// surveyor walks a volume as a sweep does and removes nothing.
type surveyor struct {
	Sweep

	foreign []string // What the listing does not name.
	found   []int    // Files that it names, by entry.
}

func (p *surveyor) directory(ctx context.Context, dir string) error {
	f, err := p.Volume.Root.Open(dir)
	if err != nil {
		return fmt.Errorf("read directory %s: %w", plan.Quote(dir), fault.NotWritable(err))
	}
	extra, below, err := p.read(ctx, f, dir)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read directory %s: %w", plan.Quote(dir), err)
	}
	for _, name := range extra[:min(len(extra), examples-len(p.foreign))] {
		p.foreign = append(p.foreign, plan.Quote(name))
	}
	for _, name := range below {
		if len(p.foreign) >= examples {
			return nil
		}
		if err := p.directory(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
