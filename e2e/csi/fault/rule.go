// SPDX-License-Identifier: Apache-2.0

// Package fault is what a test says to the running CSI driver: make these calls fail, wait or lie,
// and show what is left over. It refuses to reach into the driver's files; everything goes through
// the driver's control socket.
package fault

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
)

// The CSI calls that tests disturb most. Any other name of a CSI call can be used in a Rule as well.
const (
	CreateVolume   = "CreateVolume"
	DeleteVolume   = "DeleteVolume"
	CreateSnapshot = "CreateSnapshot"
	DeleteSnapshot = "DeleteSnapshot"
	ExpandVolume   = "ControllerExpandVolume"
	ModifyVolume   = "ControllerModifyVolume"
	NodeStage      = "NodeStageVolume"
	NodeUnstage    = "NodeUnstageVolume"
	NodePublish    = "NodePublishVolume"
	NodeUnpublish  = "NodeUnpublishVolume"
	NodeExpand     = "NodeExpandVolume"
)

const (
	// maxDelay is longer than any test should take.
	maxDelay         = 10 * time.Minute
	defaultErrorText = "failure injected by a test"
)

// Rule disturbs calls of one CSI method. Rules for the same call apply in the order in which they
// were added; the first that matches and is not used up is the only one that applies.
type Rule struct {
	// ID is given by the driver.
	ID string `json:"id,omitempty"`
	// Method is the CSI call, such as CreateVolume.
	Method string `json:"method"`
	// Namespace and Claim limit the rule to volumes that were provisioned for such a claim, or to
	// snapshots made for such a VolumeSnapshot; empty matches all. A volume keeps the claim it was
	// provisioned for: after a rebind that is still the prime.
	Namespace string `json:"namespace,omitempty"`
	Claim     string `json:"claim,omitempty"`
	// Volume limits the rule to one volume id; empty matches all.
	Volume string `json:"volume,omitempty"`
	// Count is how many calls are disturbed; 0 means every call until the rule is removed.
	Count int `json:"count,omitempty"`

	// Hold makes the call wait, before it does anything, until the rule is removed. A caller that
	// gives up and calls again for the same volume goes on waiting and does not count again.
	Hold bool `json:"hold,omitempty"`
	// Delay makes the call wait, before it does anything; also across callers that give up.
	Delay time.Duration `json:"delay,omitempty"`
	// Fail is the code the call returns; OK means that the call does not fail.
	Fail codes.Code `json:"fail,omitempty"`
	// Lost makes a failing call do its work first, as when the answer was lost on its way.
	Lost bool `json:"lost,omitempty"`
	// Message is the text of the error.
	Message string `json:"message,omitempty"`
	// Shortfall, on CreateVolume of a volume that starts empty, makes the device smaller than the
	// driver says, by exactly this many bytes.
	Shortfall int64 `json:"shortfall,omitempty"`
}

// Check tells what is wrong with a rule.
func (r Rule) Check() error {
	switch {
	case r.Method == "":
		return errors.New("method: is required, for example CreateVolume")
	case r.Count < 0:
		return fmt.Errorf("count: is %d, must be 0 (always) or the number of calls to disturb", r.Count)
	case r.Delay < 0 || r.Delay > maxDelay:
		return fmt.Errorf("delay: is %s, must be between 0 and %s; use hold to wait for the test", r.Delay, maxDelay)
	case r.Lost && r.Fail == codes.OK:
		return errors.New("lost: needs fail, the code that the caller sees")
	case !r.Hold && r.Delay == 0 && r.Fail == codes.OK && r.Shortfall == 0:
		return errors.New("rule: disturbs nothing; set hold, delay, fail or shortfall")
	}
	return r.checkShortfall()
}

func (r Rule) checkShortfall() error {
	switch {
	case r.Shortfall < 0 || (r.Shortfall > 0 && r.Method != CreateVolume):
		return errors.New("shortfall: must be positive and belongs to CreateVolume")
	case r.Shortfall > 0 && r.Fail != codes.OK:
		return errors.New("shortfall: a call that fails makes no volume; use two rules")
	}
	return nil
}

// Text is the message of the error that the rule makes.
func (r Rule) Text() string {
	if r.Message == "" {
		return defaultErrorText
	}
	return r.Message
}

// Fail makes the next count calls of a method fail; count 0 means all.
func Fail(method string, count int, code codes.Code) Rule {
	return Rule{Method: method, Count: count, Fail: code}
}

// Reschedule makes the next count provisionings ask for another node: under WaitForFirstConsumer
// csi-provisioner answers this code by taking the selected node off the claim.
func Reschedule(count int) Rule {
	return Rule{
		Method:  CreateVolume,
		Count:   count,
		Fail:    codes.ResourceExhausted,
		Message: "no room on the selected node, injected by a test",
	}
}

// In limits the rule to claims of a namespace, so that tests running side by side do not meet.
func (r Rule) In(namespace string) Rule {
	r.Namespace = namespace
	return r
}

// For limits the rule to one claim.
func (r Rule) For(namespace, claim string) Rule {
	r.Namespace, r.Claim = namespace, claim
	return r
}
