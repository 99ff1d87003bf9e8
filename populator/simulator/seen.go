// SPDX-License-Identifier: Apache-2.0

package simulator

import "reflect"

// Seen counts what runs met, so that a test can tell that they met anything.
type Seen struct {
	Primes, Movers, Rebinds, Captures, BoundElsewhere, Edits, Crashes, Takeovers, Orphans, ForcedDeletions, Imposters int
}

// Add sums.
func (s *Seen) Add(more Seen) {
	a, b := reflect.ValueOf(s).Elem(), reflect.ValueOf(more)
	for i := range a.NumField() {
		a.Field(i).SetInt(a.Field(i).Int() + b.Field(i).Int())
	}
}

// Missing names what was never met.
func (s *Seen) Missing() []string {
	var names []string
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		if v.Field(i).Int() == 0 {
			names = append(names, v.Type().Field(i).Name)
		}
	}
	return names
}
