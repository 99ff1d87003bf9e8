// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// result is what one set measured on one kind of target.
type result struct {
	Set     string  `json:"set"`
	Target  string  `json:"target"`
	Machine machine `json:"machine"`
	Rows    []row   `json:"rows"`
}

// row is a tool's runs, one for each round.
type row struct {
	Tool   string  `json:"tool"`
	Absent string  `json:"absent,omitempty"` // Why there are no runs.
	Runs   []usage `json:"runs"`
}

// bench is one invocation.
type bench struct {
	out      io.Writer
	cache    string
	binaries map[string]string
	rounds   int
	short    bool
}

// measureSet runs the tools in turn, so that a machine that grows slower does so for all.
func (b *bench) measureSet(ctx context.Context, s set, target string) (*result, error) {
	d, err := b.dataset(s.data, s.server)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(b.out, "%s on %s: %d objects in %s\n", s.name, target, len(d.all), d.dir)
	objects, err := d.seed(ctx)
	if err != nil {
		return nil, fmt.Errorf("make the data of %s: %w", s.name, err)
	}
	j := job{binaries: b.binaries, manifest: d.manifest(), objects: objects}
	if j.server, err = d.start(ctx, !s.closing); err != nil {
		return nil, err
	}
	defer j.server.stop()
	r := &result{Set: s.name, Target: target, Machine: describe(ctx)}
	for _, t := range tools {
		if t.name != ddFiles || s.dd {
			r.Rows = append(r.Rows, row{Tool: t.name})
		}
	}
	for round := range b.rounds {
		if err := warm(j.server.root); err != nil {
			return nil, fmt.Errorf("read the server's files: %w", err)
		}
		for i := range r.Rows {
			if err := b.run(ctx, &r.Rows[i], j, target); err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", s.name, round+1, err)
			}
		}
	}
	r.Machine.LoadAfter = load()
	return r, nil
}

// run makes one run of a row's tool with a fresh target, and compares what arrived.
func (b *bench) run(ctx context.Context, row *row, j job, target string) (err error) {
	if row.Absent != "" {
		return nil
	}
	t := toolNamed(row.Tool)
	if j.scratch, err = os.MkdirTemp(memory, "bench-scratch-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(j.scratch)) }()
	var remove func() error
	if j.target, remove, err = fresh(ctx, b.cache, target, j.objects); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	cmd, err := t.command(ctx, j)
	if err != nil {
		return err
	}
	if err := syncFileSystem(j.target); err != nil { // What others wrote is not this tool's.
		return err
	}
	u, err := measure(ctx, cmd, j.target)
	if err != nil {
		if row.Absent = absent(j); row.Absent != "" {
			fmt.Fprintf(b.out, "  %-20s is absent: %s\n", t.name, row.Absent)
			return nil
		}
		return err
	}
	row.Runs = append(row.Runs, u)
	fmt.Fprintf(b.out, "  %-20s %7.2f s %7.2f s of processor %6.0f MB\n", t.name, u.Wall, u.CPU, u.RSS)
	if t.discards {
		return nil
	}
	if err := compare(j.target, j.objects); err != nil {
		return fmt.Errorf("%s copied other bytes: %w", t.name, err)
	}
	return nil
}

func toolNamed(name string) tool {
	for _, t := range tools {
		if t.name == name {
			return t
		}
	}
	return tool{}
}

// warm reads all files, so that the server finds them in memory whoever asks first.
func warm(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		_, err = io.Copy(io.Discard, f)
		return err
	})
}
