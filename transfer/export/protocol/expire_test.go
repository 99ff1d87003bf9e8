// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"
	"testing"
	"time"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// TestTheLastWithFilesDoesNotExpire while those that came after it found none, as of a disk that is not mounted.
func TestTheLastWithFilesDoesNotExpire(t *testing.T) {
	t.Parallel()
	files := func(s *State) { s.Export.Status.Objects = 7 }
	links := func(s *State) { s.Export.Status.Links = 3 }
	ofAnother := func(s *State) { s.Export.Status.ClaimUID = "c-0" }
	beside := func(runs ...v1alpha1.S3Export) change {
		return func(s *State) { s.Runs = append(slices.Clone(runs), *s.Export.DeepCopy()) }
	}
	old := []change{unguarded, ttl(60), completed(3 * time.Hour)}
	of := func(changes ...change) State { return world(slices.Concat(old, changes)...) }
	for name, tt := range map[string]struct {
		state State
		want  Action
	}{
		"it is alone":               {of(files, beside()), DeleteExport},
		"a later one found none":    {of(files, beside(run("b", completed(time.Hour)))), Wait},
		"it has links alone":        {of(links, beside(run("b", completed(time.Hour)))), Wait},
		"it found none, either":     {of(beside(run("b", completed(time.Hour)))), DeleteExport},
		"a later one has files":     {of(files, beside(run("b", completed(time.Hour), files))), DeleteExport},
		"a later one has links":     {of(files, beside(run("b", completed(time.Hour), links))), Wait},
		"both have links alone":     {of(links, beside(run("b", completed(time.Hour), links))), DeleteExport},
		"an earlier one found none": {of(files, beside(run("b", completed(4*time.Hour)))), DeleteExport},
		"one of another claim":      {of(files, beside(run("b", completed(time.Hour), ofAnother))), DeleteExport},
		"one of two that had files": {
			of(files, beside(run("b", completed(2*time.Hour), files), run("c", completed(time.Hour)))), DeleteExport,
		},
		"a later one failed": {
			of(files, beside(run("b", begunOnce, over(v1alpha1.ConditionFailed, time.Hour)))), DeleteExport,
		},
		"a later one is under way":    {of(files, beside(run("b", begunOnce))), DeleteExport},
		"its time is not over":        {of(files, ttl(24*3600), beside(run("b", completed(time.Hour)))), Wait},
		"it stays until it is wanted": {of(files, func(s *State) { s.Export.Spec.TTLSecondsAfterFinished = nil }), Wait},
	} {
		d, ok := expire(tt.state)
		if !ok || d.Action != tt.want {
			t.Errorf("%s: %+v, want %s", name, d, tt.want)
		}
		if tt.state.Runs != nil && d.Action == Wait && d.Recheck == 0 {
			t.Errorf("%s: nobody looks at it again", name)
		}
	}
}
