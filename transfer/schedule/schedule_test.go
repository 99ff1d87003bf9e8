// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"strings"
	"testing"
	"time"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	if text == "" {
		return time.Time{}
	}
	when, err := time.Parse("2006-01-02 15:04:05Z07:00", text+"Z")
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func parse(t *testing.T, text, zone string) Schedule {
	t.Helper()
	s, err := Parse(text, zone)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ text, zone, want string }{
		"nothing":                {"", "", "write five fields"},
		"four fields":            {"0 3 * *", "", "write five fields"},
		"seconds":                {"0 0 3 * * *", "", "write five fields"},
		"an hour that is none":   {"0 24 * * *", "", "write five fields"},
		"a name that is none":    {"@nightly", "", "@daily"},
		"a zone in the schedule": {"CRON_TZ=Europe/Berlin 0 3 * * *", "", "as the time zone instead"},
		"a zone and nothing":     {"TZ=Europe/Berlin", "", "as the time zone instead"},
		"a zone that is none":    {"0 3 * * *", "Berlin", "such as Europe/Berlin"},
		"the local zone":         {"0 3 * * *", "Local", "such as Europe/Berlin"},
		"a way up as a zone":     {"0 3 * * *", "../../etc/passwd", "such as Europe/Berlin"},
		"every second":           {"@every 1s", "", "@every 1m or more"},
		"every nothing":          {"@every", "", "no schedule"},
		"the 30th of February":   {"0 0 30 2 *", "", "would never run"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse(tt.text, tt.zone); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestNext(t *testing.T) {
	for name, tt := range map[string]struct{ text, zone, since, now, want string }{
		"UTC without a zone":             {text: "0 3 * * *", now: "2026-11-26 02:59:59", want: "2026-11-26 03:00:00"},
		"a tick is not its own next one": {text: "0 3 * * *", now: "2026-11-26 03:00:00", want: "2026-11-27 03:00:00"},
		"a zone in winter": {
			text: "0 3 * * *", zone: "Europe/Berlin", now: "2026-11-26 00:00:00", want: "2026-11-26 02:00:00",
		},
		"a zone in summer": {
			text: "0 3 * * *", zone: "Europe/Berlin", now: "2026-07-01 00:00:00", want: "2026-07-01 01:00:00",
		},
		"an hour that is skipped in spring has no run": {
			text: "30 2 * * *", zone: "Europe/Berlin", now: "2026-03-28 12:00:00", want: "2026-03-30 00:30:00",
		},
		"an hour that comes twice in autumn": {
			text: "30 2 * * *", zone: "Europe/Berlin", now: "2026-10-24 12:00:00", want: "2026-10-25 00:30:00",
		},
		"a macro":      {text: "@weekly", now: "2026-11-26 03:00:00", want: "2026-11-29 00:00:00"},
		"either day":   {text: "0 0 13 * FRI", now: "2026-11-26 03:00:00", want: "2026-11-27 00:00:00"},
		"the leap day": {text: "0 0 29 2 *", now: "2026-11-26 03:00:00", want: "2028-02-29 00:00:00"},
		"every 6 hours": {
			text: "@every 6h", since: "2026-11-26 01:02:03", now: "2026-11-26 03:00:00", want: "2026-11-26 07:02:03",
		},
		"at such a tick": {
			text: "@every 6h", since: "2026-11-26 01:02:03", now: "2026-11-26 07:02:03", want: "2026-11-26 13:02:03",
		},
		"before it all": {
			text: "@every 6h", since: "2026-11-26 01:02:03", now: "2026-11-20 00:00:00", want: "2026-11-26 07:02:03",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := parse(t, tt.text, tt.zone).Next(at(t, tt.since), at(t, tt.now))
			if !got.Equal(at(t, tt.want)) {
				t.Errorf("next at %s, want %s", got, tt.want)
			}
		})
	}
}

// TestDue has the examples of CronJob's documentation, and what its controller does in each.
func TestDue(t *testing.T) {
	tests := map[string]struct {
		text, zone, since, now string
		deadline               time.Duration
		want                   string
		wantMissed             int
	}{
		"before the first tick": {text: "0 3 * * *", since: "2026-11-26 01:00:00", now: "2026-11-26 02:59:59"},
		"at the first tick": {
			text: "0 3 * * *", since: "2026-11-26 01:00:00", now: "2026-11-26 03:00:00", want: "2026-11-26 03:00:00",
		},
		"it was fired": {text: "0 3 * * *", since: "2026-11-26 03:00:00", now: "2026-11-26 03:00:00"},
		"a restart after it": {
			text: "0 3 * * *", since: "2026-11-25 03:00:00", now: "2026-11-26 03:20:00", want: "2026-11-26 03:00:00",
		},
		"three were missed: one run, for the latest": {
			text: "0 * * * *", since: "2026-11-26 00:00:00", now: "2026-11-26 03:30:00", want: "2026-11-26 03:00:00",
			wantMissed: 2,
		},
		"down from 8:29 to 10:21, every minute: one run, and a warning": {
			text: "* * * * *", since: "2026-11-26 08:29:00", now: "2026-11-26 10:21:00", want: "2026-11-26 10:21:00",
			wantMissed: MostMissed + 1,
		},
		"the same with a deadline of 200 seconds: three were missed": {
			text: "* * * * *", since: "2026-11-26 08:29:00", now: "2026-11-26 10:21:30", deadline: 200 * time.Second,
			want: "2026-11-26 10:21:00", wantMissed: 2,
		},
		"the deadline has passed": {
			text: "0 3 * * *", since: "2026-11-25 03:00:00", now: "2026-11-26 03:20:00", deadline: 10 * time.Minute,
		},
		"the deadline has not passed": {
			text: "0 3 * * *", since: "2026-11-25 03:00:00", now: "2026-11-26 03:09:59", deadline: 10 * time.Minute,
			want: "2026-11-26 03:00:00",
		},
		"exactly 100 missed": {
			text: "* * * * *", since: "2026-11-26 00:00:00", now: "2026-11-26 01:41:00", want: "2026-11-26 01:41:00",
			wantMissed: 100,
		},
		"years": {
			text: "*/5 * * * *", since: "1970-01-01 00:00:00", now: "2026-11-26 03:03:00", want: "2026-11-26 03:00:00",
			wantMissed: MostMissed + 1,
		},
		"years, and irregular": {
			text: "0 0,1 1 1 *", since: "1800-01-01 00:00:00", now: "2026-11-26 03:03:00", want: "2026-01-01 01:00:00",
			wantMissed: MostMissed + 1,
		},
		"every minute of one day of the year, long ago": {
			text: "* * 1 1 *", since: "2020-06-01 00:00:00", now: "2026-11-26 03:03:00", want: "2026-01-01 23:59:00",
			wantMissed: MostMissed + 1,
		},
		"every so often, with many missed": {
			text: "@every 1m", since: "2026-11-26 00:00:30", now: "2026-11-26 10:00:00", want: "2026-11-26 09:59:30",
			wantMissed: MostMissed + 1,
		},
		"every so often, with a deadline, keeps its ticks": {
			text: "@every 1h", since: "2026-11-26 00:10:00", now: "2026-11-26 03:15:00", deadline: 90 * time.Minute,
			want: "2026-11-26 03:10:00", wantMissed: 1,
		},
		"a clock that went back": {text: "0 3 * * *", since: "2026-11-26 03:00:00", now: "2026-11-26 02:30:00"},
		"an hour that comes twice: both ticks of every 30 minutes": {
			text: "*/30 * * * *", zone: "Europe/Berlin", since: "2026-10-25 00:00:00", now: "2026-10-25 02:00:00",
			want: "2026-10-25 02:00:00", wantMissed: 3,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var deadline *time.Duration
			if tt.deadline > 0 {
				deadline = &tt.deadline
			}
			got := parse(t, tt.text, tt.zone).Due(at(t, tt.since), at(t, tt.now), deadline)
			if !got.Tick.Equal(at(t, tt.want)) || got.Missed != tt.wantMissed {
				t.Errorf("due is %s after %d missed, want %q after %d", got.Tick, got.Missed, tt.want, tt.wantMissed)
			}
		})
	}
}

// TestEachTickIsDueOnce: however often and whenever it is looked, and whatever is missed, no tick is due again
// once a later or the same one was noted.
func TestEachTickIsDueOnce(t *testing.T) {
	for _, text := range []string{"*/7 * * * *", "@every 13m", "0 0,5,6 * * *"} {
		s := parse(t, text, "America/New_York")
		since, now := at(t, "2026-10-30 00:00:20"), at(t, "2026-10-30 00:00:20")
		seen := map[time.Time]bool{}
		for step := range 2000 {
			now = now.Add(time.Duration(step%11) * time.Minute / 2)
			due := s.Due(since, now, nil)
			if due.Tick.IsZero() {
				continue
			}
			if seen[due.Tick] || due.Tick.After(now) || !due.Tick.After(since) {
				t.Fatalf("%s: tick %s is due at %s after %s", text, due.Tick, now, since)
			}
			seen[due.Tick], since = true, due.Tick
		}
		if len(seen) < 10 {
			t.Errorf("%s: %d ticks only", text, len(seen))
		}
	}
}
