// SPDX-License-Identifier: Apache-2.0

package architecture_test

import (
	"slices"
	"strings"
	"testing"
)

// TestEveryRoomHasAConstraint: a new package of the mover says which others it may know.
func TestEveryRoomHasAConstraint(t *testing.T) {
	programs := list(t)
	if got := len(rooms(programs)); got < 10 {
		t.Errorf("only %d rooms were found", got)
	}
	for _, room := range unconstrained(programs, constraints) {
		t.Errorf("no constraint is from %s: say which packages of the mover it may import", room)
	}
}

func TestARoomWithoutAConstraintIsFound(t *testing.T) {
	code := []string{"x.go"}
	programs := []program{
		{ImportPath: module + "/mover", GoFiles: code},
		{ImportPath: module + "/mover/engine", GoFiles: code},
		{ImportPath: module + "/mover/engine/mc", GoFiles: code},
		{ImportPath: module + "/mover/tests"},
		{ImportPath: module + "/moverpod", GoFiles: code},
		{ImportPath: "a/mover/b", GoFiles: code},
	}
	of := func(from ...string) map[string]constraint {
		all := map[string]constraint{}
		for _, f := range from {
			all[f] = constraint{from: f}
		}
		return all
	}
	for name, test := range map[string]struct {
		constraints map[string]constraint
		want        []string
	}{
		"each has one": {of("mover/engine", "mover/engine/mc"), nil},
		"that of all":  {of("mover"), []string{"mover/engine", "mover/engine/mc"}},
		"one above":    {of("mover/engine"), []string{"mover/engine/mc"}},
		"one below":    {of("mover/engine/mc"), []string{"mover/engine"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := unconstrained(programs, test.constraints); !slices.Equal(got, test.want) {
				t.Errorf("found %q, want %q", got, test.want)
			}
		})
	}
}

// rooms are the packages below the mover that hold code.
func rooms(programs []program) (found []string) {
	for _, p := range programs {
		room, ok := strings.CutPrefix(p.ImportPath, module+"/")
		if ok && strings.HasPrefix(room, "mover/") && len(p.GoFiles) > 0 {
			found = append(found, room)
		}
	}
	return found
}

// unconstrained names the rooms that have no constraint of their own.
func unconstrained(programs []program, constraints map[string]constraint) []string {
	own := map[string]bool{}
	for _, c := range constraints {
		own[c.from] = true
	}
	return slices.DeleteFunc(rooms(programs), func(room string) bool { return own[room] })
}
