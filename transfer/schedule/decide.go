// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// Concurrency is what happens when a run is due while an earlier one of the same claim has not ended.
type Concurrency string

// The policies of a CronJob.
const (
	Allow   Concurrency = "Allow"
	Forbid  Concurrency = "Forbid"
	Replace Concurrency = "Replace"
)

// Action is what is done for a claim at a tick.
type Action string

// The actions.
const (
	// Nothing: no tick concerns the claim.
	Nothing Action = "Nothing"
	// Start a run.
	Start Action = "Start"
	// Wait until the run before has ended; the tick stays due.
	Wait Action = "Wait"
	// StartInstead ends the runs before, and starts one.
	StartInstead Action = "StartInstead"
	// Miss the tick: its deadline has passed.
	Miss Action = "Miss"
)

// Claim is what a decision for one claim rests on.
type Claim struct {
	Created time.Time
	// Active tells whether a run of an earlier tick has not ended.
	Active bool
}

// Decide judges a claim at a tick that is not after now. A claim that was created after a tick is not concerned.
//
//	tick           before its deadline    a run is active    policy     then
//	none                                                                Nothing
//	before claim                                                        Nothing
//	due            no                                                   Miss
//	due            yes                    no                            Start
//	due            yes                    yes                Allow      Start
//	due            yes                    yes                Forbid     Wait
//	due            yes                    yes                Replace    StartInstead
func Decide(claim Claim, tick, now time.Time, deadline *time.Duration, policy Concurrency) Action {
	switch {
	case tick.IsZero() || claim.Created.After(tick):
		return Nothing
	case deadline != nil && tick.Add(*deadline).Before(now):
		return Miss
	case !claim.Active || policy == Allow:
		return Start
	case policy == Replace:
		return StartInstead
	}
	return Wait
}

// maxStem and tickForm keep a name within 63 characters, as a label's value has.
const (
	maxStem  = 36
	hashSize = 5
	tickForm = "20060102-150405"
)

// Name is the name of the run of a claim at a tick: whoever makes it, at whatever time, makes the same one.
// The UIDs tell it from runs for a namesake that was deleted.
func Name(schedule, claim, scheduleUID, claimUID string, tick time.Time) string {
	return stem(schedule+"-"+claim) + "-" + sum(schedule, claim, scheduleUID, claimUID) + "-" + tick.UTC().Format(tickForm)
}

// NowName is the name of the run of a claim that a token asked for.
func NowName(claim, claimUID, token string) string {
	return stem(claim) + "-now-" + sum(claim, claimUID, token)
}

func sum(parts ...string) string {
	hash := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(hash[:hashSize])
}

// stem is the beginning of a name, fit to be continued.
func stem(name string) string {
	return strings.TrimRight(name[:min(len(name), maxStem)], "-.")
}
