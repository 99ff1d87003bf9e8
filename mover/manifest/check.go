// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/s3populator/s3populator/mover/plan"
)

// Check refuses a manifest that no export leaves: it comes from a bucket, where others may write.
func (m Manifest) Check() error {
	c := newChecker()
	for _, e := range m.Entries {
		if err := c.add(e); err != nil {
			return err
		}
	}
	return c.end(m.Header)
}

// checker is Check for entries that nobody holds.
type checker struct {
	last string // The path of the entry before.
	// over are the files and links whose path the one of the last entry begins with, the shortest first: as entries are
	// sorted, no later one is below another.
	over   []string
	digest *plan.Digester
}

func newChecker() *checker { return &checker{digest: plan.NewDigester()} }

// add takes the next entry.
func (c *checker) add(e Entry) error {
	if problem := e.problem(); problem != "" {
		return fmt.Errorf("entry %s: %s", plan.Quote(e.Path), problem)
	}
	if c.last >= e.Path { // The first one has a path, and no path is less than none.
		return fmt.Errorf("entry %s is not after the one before", plan.Quote(e.Path))
	}
	c.last = e.Path
	for len(c.over) > 0 && !strings.HasPrefix(e.Path, c.over[len(c.over)-1]) {
		c.over = c.over[:len(c.over)-1]
	}
	if n := len(c.over); n > 0 && e.Path[len(c.over[n-1])] == '/' { // Those before begin the last one, too.
		return fmt.Errorf("entry %s is below a file or link", plan.Quote(e.Path))
	}
	if e.Type != Directory {
		c.over = append(c.over, e.Path)
	}
	if e.Type == File {
		c.digest.Add(e.Path, e.Size, e.ETag)
	}
	return nil
}

// end compares the entries with what was said of them. That no two clash is known: it is that of their population.
func (c *checker) end(h Header) error {
	if digest := c.digest.Sum(); digest != h.Digest {
		return fmt.Errorf("its digest is %s, that of its entries %s", plan.Quote(h.Digest), digest)
	}
	return nil
}

func (e Entry) problem() string {
	switch {
	case e.Path == "":
		return "it has no path"
	case plan.CheckTarget(e.Path) != "":
		return plan.CheckTarget(e.Path)
	case !slices.Contains([]Type{File, Directory, Link}, e.Type):
		return "unknown type " + plan.Quote(string(e.Type))
	case e.Size < 0 || e.Type != File && e.Size != 0:
		return "its size is impossible"
	case e.Type != Link && e.Target != "":
		return "it has a target and is no link"
	case e.Type == Link && !e.Target.isTarget():
		return "its target is impossible"
	}
	return e.attributeProblem()
}

func (e Entry) attributeProblem() string {
	const bits, none = 0o7777, 1<<32 - 1 // To chown, that is to leave the owner as it is.
	if e.Mode&^bits != 0 {
		return "its mode has bits that are no permissions"
	}
	if e.UID == none || e.GID == none {
		return "it has no owner or no group"
	}
	for _, x := range e.XAttrs {
		if !strings.HasPrefix(string(x.Name), "user.") {
			return "it has an attribute that is not of the user"
		}
	}
	return ""
}

// isTarget reports whether a link can hold the text.
func (b Bytes) isTarget() bool { return b != "" && strings.IndexByte(string(b), 0) < 0 }
