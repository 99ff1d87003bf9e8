// SPDX-License-Identifier: Apache-2.0

// Package schedule tells when a scheduled export is due, by the rules of Kubernetes' CronJob: the same
// parser, one run for the latest tick however many were missed, and a starting deadline. Each claim is
// judged for itself. It is pure.
package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // The image holds no files of the system.

	"github.com/robfig/cron/v3"
)

// Schedule has a tick for each run.
type Schedule struct {
	// spec has ticks of its own, every has them at a distance from a first one; one of them is set.
	spec  cron.Schedule
	every time.Duration
}

// least is the distance of two ticks that a fixed distance may have; that of a CronJob's five fields.
const least = time.Minute

// Parse reads a schedule as a CronJob does: five fields, or @daily and the like, or @every with a duration.
// The time zone is a name of the IANA database; empty is UTC. An error names the fix.
func Parse(text, zone string) (Schedule, error) {
	if strings.Contains(text, "TZ") {
		return Schedule{}, fmt.Errorf("%q names a time zone; write it as the time zone instead", text)
	}
	where, err := location(zone)
	if err != nil {
		return Schedule{}, err
	}
	parsed, err := cron.ParseStandard(text)
	if err != nil {
		return Schedule{}, fmt.Errorf("%q is no schedule: %w; write five fields (minute, hour, day of month, month, day of "+
			"week), such as \"0 3 * * *\", or @hourly, @daily, @weekly, @monthly, @yearly or @every 6h", text, err)
	}
	switch s := parsed.(type) {
	case cron.ConstantDelaySchedule:
		if s.Delay < least {
			return Schedule{}, fmt.Errorf("%q is more often than once a minute; write @every 1m or more", text)
		}
		return Schedule{every: s.Delay}, nil
	case *cron.SpecSchedule:
		s.Location = where
	}
	if parsed.Next(time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Schedule{}, fmt.Errorf("%q names a day that no month has, so it would never run; correct day and month", text)
	}
	return Schedule{spec: parsed}, nil
}

func location(zone string) (*time.Location, error) {
	if zone == "" {
		return time.UTC, nil
	}
	where, err := time.LoadLocation(zone)
	if err == nil && strings.EqualFold(zone, "Local") {
		err = errors.New("the manager has no local time")
	}
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w; write a name of the IANA database, such as Europe/Berlin", zone, err)
	}
	return where, nil
}

// Next is the first tick after now. Where ticks have a fixed distance, they are counted from since.
func (s Schedule) Next(since, now time.Time) time.Time {
	if s.spec != nil {
		return s.spec.Next(now).UTC()
	}
	since = since.Truncate(time.Second).UTC()
	if now.Before(since) {
		return since.Add(s.every)
	}
	return since.Add(now.Sub(since).Truncate(s.every) + s.every)
}

// Due is the latest tick that nothing was started for, and how many there were.
type Due struct {
	// Tick is zero when nothing is due.
	Tick time.Time
	// Missed counts the earlier ticks since the last run that nothing was started for, up to MostMissed and one.
	Missed int
}

// Skew is by how much the clocks of two managers, or of a manager and the API server, may differ without a word.
const Skew = time.Minute

// Ahead tells that a clock was ahead: what was noted with it is in the future, and no tick until then would be due.
func Ahead(noted, now time.Time) bool { return noted.After(now.Add(Skew)) }

// Recheck is when to look again for a tick: at its time, and at least every hour, because clocks are set.
func Recheck(next, now time.Time) time.Duration { return min(next.Sub(now), time.Hour) }

// MostMissed are the missed ticks from which a CronJob warns of a wrong clock.
const MostMissed = 100

// Due looks for ticks after since, which is the tick of the last run, or when the schedule was created. With
// a deadline, ticks that are longer ago do not count; none is nil.
func (s Schedule) Due(since, now time.Time, deadline *time.Duration) Due {
	earliest := since
	if deadline != nil && now.Add(-*deadline).After(earliest) {
		earliest = now.Add(-*deadline)
	}
	due := Due{}
	for tick := s.Next(since, earliest); !tick.IsZero() && !tick.After(now); tick = s.Next(since, tick) {
		if !due.Tick.IsZero() {
			due.Missed++
		}
		due.Tick = tick
		if due.Missed > MostMissed {
			due.Tick = s.latest(since, tick, now)
			break
		}
	}
	return due
}

// latest is the last tick that is not after now, of which known is one. It looks at ever longer times
// before now, so that it takes no longer for years than for days.
func (s Schedule) latest(since, known, now time.Time) time.Time {
	for back := time.Minute; now.Add(-back).After(known); back *= 2 {
		if first := s.Next(since, now.Add(-back)); !first.After(now) {
			known = first
			break
		}
	}
	for tick := s.Next(since, known); !tick.After(now); tick = s.Next(since, tick) {
		known = tick
	}
	return known
}
