// SPDX-License-Identifier: Apache-2.0

// Package control is the driver's side of fault injection: it keeps the rules of the tests, applies
// them to CSI calls, counts the calls, and answers the control socket. It refuses to know what a
// call does.
package control

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"

	"github.com/s3populator/s3populator/e2e/csi/fault"
	"github.com/s3populator/s3populator/e2e/csi/store"
)

// Rules are the disturbances that tests asked for.
type Rules struct {
	mu    sync.Mutex
	last  int
	rules []*active
}

// active is a rule with what is left of it.
type active struct {
	fault.Rule
	left    int
	removed chan struct{} // closed when the rule is removed.
	// until is when the wait of a volume ends. A volume stays in it when its caller gives up, so that
	// the next call goes on waiting instead of using the rule up once more, or slipping through.
	until map[string]time.Time
}

// call is one CSI call as far as rules care.
type call struct {
	method string
	volume string
	owner  store.Owner
}

// Add adds a rule. A rule for a call that does not exist would never apply, and its test would
// prove nothing, so it is refused.
func (r *Rules) Add(rule fault.Rule) (fault.Rule, error) {
	if err := rule.Check(); err != nil {
		return fault.Rule{}, err
	}
	if !exists(rule.Method) {
		return fault.Rule{}, fmt.Errorf("method: CSI has no call %q", rule.Method)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	rule.ID = strconv.Itoa(r.last)
	r.rules = append(
		r.rules,
		&active{Rule: rule, left: rule.Count, removed: make(chan struct{}), until: map[string]time.Time{}},
	)
	return rule, nil
}

// exists tells whether the driver can be called that way.
func exists(method string) bool {
	for _, service := range []grpc.ServiceDesc{
		csi.Identity_ServiceDesc, csi.Controller_ServiceDesc,
		csi.Node_ServiceDesc,
	} {
		if slices.ContainsFunc(service.Methods, func(m grpc.MethodDesc) bool { return m.MethodName == method }) {
			return true
		}
	}
	return false
}

// List shows the rules that can still apply, with the calls that are left to each.
func (r *Rules) List() []fault.Rule {
	r.mu.Lock()
	defer r.mu.Unlock()
	rules := make([]fault.Rule, 0, len(r.rules))
	for _, rule := range r.rules {
		if rule.spent() {
			continue
		}
		shown := rule.Rule
		shown.Count = rule.left
		rules = append(rules, shown)
	}
	return rules
}

// Remove removes the rules that match, and lets their calls go on.
func (r *Rules) Remove(match func(fault.Rule) bool) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.rules)
	r.rules = slices.DeleteFunc(r.rules, func(rule *active) bool {
		if !match(rule.Rule) {
			return false
		}
		close(rule.removed)
		return true
	})
	return before - len(r.rules)
}

// take finds the rule for a call and uses it up once.
func (r *Rules) take(c call, match func(fault.Rule) bool) *active {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rule := range r.rules {
		if !rule.applies(c) || !match(rule.Rule) {
			continue
		}
		if _, waits := rule.until[c.volume]; waits {
			return rule
		}
		if rule.spent() {
			continue
		}
		if rule.Count > 0 {
			rule.left--
		}
		if rule.Hold || rule.Delay > 0 {
			rule.until[c.volume] = time.Now().Add(rule.Delay)
		}
		return rule
	}
	return nil
}

// Shortfall tells by how many bytes a new volume is to be smaller than the driver says.
func (r *Rules) Shortfall(owner store.Owner) int64 {
	rule := r.take(
		call{method: fault.CreateVolume, owner: owner},
		func(rule fault.Rule) bool { return rule.Shortfall > 0 },
	)
	if rule == nil {
		return 0
	}
	return rule.Shortfall
}

func (a *active) spent() bool {
	return a.Count > 0 && a.left == 0
}

func (a *active) applies(c call) bool {
	wants := func(asked, have string) bool { return asked == "" || asked == have }
	return a.Method == c.method && wants(a.Namespace, c.owner.Namespace) && wants(a.Claim, c.owner.Name) &&
		wants(a.Volume, c.volume)
}

// wait holds or delays a call until the rule lets it go on, or the caller gives up.
func (r *Rules) wait(ctx context.Context, rule *active, volume string) error {
	r.mu.Lock()
	until := rule.until[volume]
	r.mu.Unlock()
	var delayed <-chan time.Time
	if !rule.Hold {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		delayed = timer.C
	}
	select {
	case <-rule.removed:
	case <-delayed:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(rule.until, volume)
	return nil
}
