// SPDX-License-Identifier: Apache-2.0

package control

import (
	"maps"
	"sync"

	"google.golang.org/grpc/codes"

	"github.com/s3populator/s3populator/e2e/csi/fault"
)

// calls counts calls, by namespace and method.
type calls struct {
	mu     sync.Mutex
	counts map[string]map[string]fault.Count
}

// change edits the count of a call, both of its namespace and of all namespaces.
func (c *calls) change(of call, edit func(*fault.Count)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]map[string]fault.Count{}
	}
	for _, namespace := range namespaces(of) {
		if c.counts[namespace] == nil {
			c.counts[namespace] = map[string]fault.Count{}
		}
		count := c.counts[namespace][of.method]
		edit(&count)
		c.counts[namespace][of.method] = count
	}
}

// namespaces are the views in which a call is counted; the empty one is that of all calls.
func namespaces(of call) []string {
	if of.owner.Namespace == "" {
		return []string{""}
	}
	return []string{"", of.owner.Namespace}
}

func begin(count *fault.Count) {
	count.Calls++
	count.Running++
}

func end(code codes.Code) func(*fault.Count) {
	return func(count *fault.Count) {
		count.Running--
		if code != codes.OK {
			count.Failed++
		}
		if count.Codes == nil {
			count.Codes = map[string]int{}
		}
		count.Codes[code.String()]++
	}
}

// in copies the counts of a namespace.
func (c *calls) in(namespace string) map[string]fault.Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := map[string]fault.Count{}
	for method, count := range c.counts[namespace] {
		count.Codes = maps.Clone(count.Codes)
		counts[method] = count
	}
	return counts
}
