// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/validation"
)

func TestDecide(t *testing.T) {
	tick := at(t, "2026-11-26 03:00:00")
	minute := time.Minute
	tests := map[string]struct {
		claim    Claim
		tick     time.Time
		after    time.Duration
		deadline *time.Duration
		want     map[Concurrency]Action
	}{
		"no tick": {tick: time.Time{}, want: all(Nothing)},
		"a claim that came later": {
			claim: Claim{Created: tick.Add(time.Second)}, tick: tick, after: time.Hour, want: all(Nothing),
		},
		"a claim of that second": {claim: Claim{Created: tick}, tick: tick, want: all(Start)},
		"a claim at rest":        {tick: tick, want: all(Start)},
		"late, without a deadline": {
			tick: tick, after: 100 * time.Hour, want: all(Start),
		},
		"late, within the deadline": {tick: tick, after: minute, deadline: &minute, want: all(Start)},
		"too late":                  {tick: tick, after: minute + 1, deadline: &minute, want: all(Miss)},
		"too late, with a run": {
			claim: Claim{Active: true}, tick: tick, after: minute + 1, deadline: &minute, want: all(Miss),
		},
		"a run before has not ended": {
			claim: Claim{Active: true}, tick: tick,
			want: map[Concurrency]Action{Allow: Start, Forbid: Wait, Replace: StartInstead},
		},
	}
	for name, tt := range tests {
		for policy, want := range tt.want {
			t.Run(name+" "+string(policy), func(t *testing.T) {
				if got := Decide(tt.claim, tt.tick, tick.Add(tt.after), tt.deadline, policy); got != want {
					t.Errorf("decided %s, want %s", got, want)
				}
			})
		}
	}
}

func all(a Action) map[Concurrency]Action {
	return map[Concurrency]Action{Allow: a, Forbid: a, Replace: a}
}

func TestNames(t *testing.T) {
	tick := at(t, "2026-11-26 03:00:00")
	first := Name("nightly", "data", "p-1", "c-1", tick)
	if want := "nightly-data-" + sum("nightly", "data", "p-1", "c-1") + "-20261126-030000"; first != want {
		t.Errorf("name %s, want %s", first, want)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	if got := Name("nightly", "data", "p-1", "c-1", tick.In(berlin)); got != first {
		t.Errorf("another zone gives the same tick the name %s, want %s", got, first)
	}
	seen := map[string]string{first: "the first"}
	for what, name := range map[string]string{
		"another tick":                 Name("nightly", "data", "p-1", "c-1", tick.Add(time.Minute)),
		"another claim":                Name("nightly", "data2", "p-1", "c-2", tick),
		"a namesake":                   Name("nightly", "data", "p-1", "c-2", tick),
		"a schedule that was replaced": Name("nightly", "data", "p-2", "c-1", tick),
		"a dash elsewhere":             Name("nightly-data", "", "p-1", "c-1", tick),
		"a token":                      NowName("data", "c-1", "1"),
		"another token":                NowName("data", "c-1", "2"),
		"a namesake's token":           NowName("data", "c-2", "1"),
	} {
		if seen[name] != "" {
			t.Errorf("%s and %s share the name %s", what, seen[name], name)
		}
		seen[name] = what
	}
}

func TestNamesFit(t *testing.T) {
	for _, long := range []string{strings.Repeat("a", 253), strings.Repeat("a.b-", 63) + "a", "a"} {
		for _, name := range []string{
			Name(long, long, "p", "c", at(t, "2026-11-26 03:00:00")), NowName(long, "c", strings.Repeat("x", 1000)),
		} {
			if wrong := validation.NameIsDNSSubdomain(name, false); len(wrong) > 0 || len(name) > 63 {
				t.Errorf("name %q of %d characters: %v", name, len(name), wrong)
			}
		}
	}
}
