// SPDX-License-Identifier: Apache-2.0

package simulator

import "reflect"

// Seen counts what runs met, so that a test can tell that they met anything.
type Seen struct {
	Primes, Movers, Rebinds, Captures, BoundElsewhere, Edits, Crashes, Takeovers, Orphans, ForcedDeletions, Imposters int
}

// Add sums.
func (s *Seen) Add(more Seen) { sum(s, more) }

// Add sums.
func (s *FinalSeen) Add(more FinalSeen) { sum(s, more) }

func sum(into, more any) {
	a, b := reflect.ValueOf(into).Elem(), reflect.ValueOf(more)
	for i := range a.NumField() {
		a.Field(i).SetInt(a.Field(i).Int() + b.Field(i).Int())
	}
}

// Missing names what was never met.
func (s *Seen) Missing() []string { return zeros(s) }

// Missing names what was never met.
func (s *FinalSeen) Missing() []string { return zeros(s) }

func zeros(of any) []string {
	var names []string
	v := reflect.ValueOf(of).Elem()
	for i := range v.NumField() {
		if v.Field(i).Int() == 0 {
			names = append(names, v.Type().Field(i).Name)
		}
	}
	return names
}
