// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strings"
)

// compare orders the paths of two entries bytewise.
func (l *Entries) compare(i, j int) int {
	a, b := l.parts(i)
	c, d := l.parts(j)
	return compareJoined(a, b, c, d)
}

// compareTo orders the path of an entry and another one.
func (l *Entries) compareTo(i int, path string) int {
	head, tail := l.parts(i)
	return compareJoined(head, tail, path, "")
}

func (l *Entries) parts(i int) (head, tail string) {
	c, r := l.record(i)
	return c.parts(r)
}

// compareJoined compares a+b with c+d, without making either: to find an entry takes twenty comparisons.
func compareJoined(a, b, c, d string) int {
	n := min(len(a), len(c))
	switch order := strings.Compare(a[:n], c[:n]); {
	case order != 0:
		return order
	case len(a) == len(c):
		return strings.Compare(b, d)
	case len(a) > n:
		return -compareJoined(c, d, a, b)
	case b == "":
		return -1 // The rest of c is more than nothing.
	}
	return compareJoined(b, "", c[n:], d)
}

// sort keeps them sorted by path. Those with the same path stay in their order.
func (l *Entries) sort() {
	if l.isSorted() {
		return
	}
	order := make([]int, l.count)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, l.compare)
	*l = EntriesOf(l.base, func(yield func(Entry) bool) {
		for _, i := range order {
			if !yield(l.At(i)) {
				return
			}
		}
	})
}

func (l *Entries) isSorted() bool {
	for i := 1; i < l.count; i++ {
		if l.compare(i-1, i) > 0 {
			return false
		}
	}
	return true
}
