// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// Filter selects objects, or the files of an export, by doublestar globs on the path below the prefix.
type Filter struct {
	include, exclude []string
}

// NewFilter fails for patterns that are no globs.
func NewFilter(source wire.Source) (Filter, error) {
	for _, list := range []struct {
		field    string
		patterns []string
	}{{"spec.include", source.Include}, {"spec.exclude", source.Exclude}} {
		for _, p := range list.patterns {
			if !doublestar.ValidatePattern(p) {
				return Filter{}, fault.New(wire.MoverBroken, "%s holds %q, which is not a valid glob", list.field, p)
			}
		}
	}
	return Filter{include: source.Include, exclude: source.Exclude}, nil
}

// Selects reports whether a path is wanted: matched by an include pattern, if
// there is any, and by no exclude pattern. A directory marker is matched
// without its trailing slash.
func (f Filter) Selects(path string) bool {
	path = strings.TrimSuffix(path, "/")
	return (len(f.include) == 0 || matchesAny(f.include, path)) && !matchesAny(f.exclude, path)
}

// Takes reports whether a plan takes an object of a path: it is selected, and none of what an export notes below its
// prefix, which is no data.
func (f Filter) Takes(path string) bool {
	return !strings.HasPrefix(path, wire.JournalDir+"/") && f.Selects(path)
}

// IsEmpty tells that everything is selected.
func (f Filter) IsEmpty() bool { return len(f.include) == 0 && len(f.exclude) == 0 }

func matchesAny(patterns []string, path string) bool {
	for _, p := range patterns {
		if doublestar.MatchUnvalidated(p, path) {
			return true
		}
	}
	return false
}

// Prunes reports whether nothing below a directory is selected, whatever is there: an exclude
// pattern that ends in "/**" matches the directory, and with it all that is below.
func (f Filter) Prunes(directory string) bool {
	for _, p := range f.exclude {
		if strings.HasSuffix(p, "/**") && doublestar.MatchUnvalidated(p, directory) {
			return true
		}
	}
	return false
}
