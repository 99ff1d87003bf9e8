// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// form is how much a run measures. Figures of one form are never written under the keys of
// another.
type form struct {
	// prefix of every key of the JSON.
	prefix string
	// singles are pairs of one claim; pairs are of as many claims at once.
	singles, pairs, claims int
	// warmUp is how many claims the pair has that is thrown away; zero is no such pair.
	warmUp int
	// rest is how long after the last claim is Bound nothing of ours may be left.
	rest time.Duration
	// few and many are numbers of claims against simulated nodes.
	few, many int
	// load is how long reviews are sent to the webhook.
	load time.Duration
	// authority tells to change the authority of the certificates, and the replicas, too.
	authority bool
	// rotating are arguments with which certificates rotate while anybody looks.
	rotating []string
	tenants  tenants
}

// tenants are what other tenants have, and how many claims of quiet ones are measured.
type tenants struct {
	volumes, pending, unschedulable, quiet int
	// settle is for what is still told after all stands; then the manager is at rest as long.
	settle time.Duration
	// promised: a promise that is not kept fails the run.
	promised bool
}

// full is what the project's figures come from.
var full = form{
	singles: 5, pairs: 5, claims: 50, warmUp: 10, rest: 20 * time.Second, few: 100, many: 1000,
	load: 10 * time.Second, authority: true,
	tenants: tenants{volumes: 10000, pending: 2000, unschedulable: 500, quiet: 5, settle: time.Minute, promised: true},
}

// rotating certificates live for seconds: the shortest that the manager takes, and a little.
var rotating = []string{"--ca-duration=45s", "--leaf-duration=9s"}

// short takes all the same ways in about two minutes; its figures only show that a run works.
var short = form{
	prefix: "short_", singles: 1, pairs: 1, claims: 2, rest: 3 * time.Second, few: 5, many: 50, load: time.Second,
	rotating: rotating,
	tenants:  tenants{volumes: 50, pending: 10, unschedulable: 5, quiet: 1, settle: 2 * time.Second},
}

// key of a figure that was measured with n claims at once.
func key(what string, n int) string { return fmt.Sprintf("%s_%d", what, n) }

func simulatedKey(n int, what string) string { return fmt.Sprintf("kwok_%d_%s", n, what) }
