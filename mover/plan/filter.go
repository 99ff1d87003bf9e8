// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// filter selects objects by doublestar globs on the path below the prefix.
type filter struct {
	include, exclude []string
}

func newFilter(source wire.Source) (filter, error) {
	for _, list := range []struct {
		field    string
		patterns []string
	}{{"spec.include", source.Include}, {"spec.exclude", source.Exclude}} {
		for _, p := range list.patterns {
			if !doublestar.ValidatePattern(p) {
				return filter{}, fault.New(wire.MoverBroken, "%s holds %q, which is not a valid glob", list.field, p)
			}
		}
	}
	return filter{include: source.Include, exclude: source.Exclude}, nil
}

// selects reports whether a path is wanted: matched by an include pattern, if
// there is any, and by no exclude pattern. A directory marker is matched
// without its trailing slash.
func (f filter) selects(path string) bool {
	path = strings.TrimSuffix(path, "/")
	return (len(f.include) == 0 || matchesAny(f.include, path)) && !matchesAny(f.exclude, path)
}

func (f filter) empty() bool { return len(f.include) == 0 && len(f.exclude) == 0 }

func matchesAny(patterns []string, path string) bool {
	for _, p := range patterns {
		if doublestar.MatchUnvalidated(p, path) {
			return true
		}
	}
	return false
}
