// SPDX-License-Identifier: Apache-2.0

package volume

import "testing"

// TestAdmit is the whole table of docs/design/0013.
func TestAdmit(t *testing.T) {
	for _, tt := range []struct {
		journal             Ownership
		full, first, began  bool
		want                Admission
		mayRemoveOrOverride bool
	}{
		{Nobodys, false, true, false, Begin, true},
		{Nobodys, false, true, true, Begin, true},
		{Nobodys, false, false, false, Begin, true},
		{Nobodys, false, false, true, Begin, true},
		{Nobodys, true, true, false, Recognise, false},
		{Nobodys, true, true, true, Confirm, false},
		{Nobodys, true, false, false, Prove, false},
		{Nobodys, true, false, true, Confirm, false},
		{Ours, false, true, false, GoOn, true},
		{Ours, false, true, true, GoOn, true},
		{Ours, false, false, false, GoOn, true},
		{Ours, false, false, true, GoOn, true},
		{Ours, true, true, false, GoOn, true},
		{Ours, true, true, true, GoOn, true},
		{Ours, true, false, false, GoOn, true},
		{Ours, true, false, true, GoOn, true},
		{Somebody, false, true, false, Refuse, false},
		{Somebody, false, true, true, Refuse, false},
		{Somebody, false, false, false, Refuse, false},
		{Somebody, false, false, true, Refuse, false},
		{Somebody, true, true, false, Refuse, false},
		{Somebody, true, true, true, Refuse, false},
		{Somebody, true, false, false, Refuse, false},
		{Somebody, true, false, true, Refuse, false},
		{Anothers, false, true, false, Refuse, false},
		{Anothers, false, true, true, Refuse, false},
		{Anothers, false, false, false, Refuse, false},
		{Anothers, false, false, true, Refuse, false},
		{Anothers, true, true, false, Refuse, false},
		{Anothers, true, true, true, Refuse, false},
		{Anothers, true, false, false, Refuse, false},
		{Anothers, true, false, true, Refuse, false},
	} {
		o := Occupancy{Journal: tt.journal}
		if tt.full {
			o.Foreign = []string{`"x"`}
		}
		if got := o.Admit(tt.first, tt.began); got != tt.want {
			t.Errorf("journal %d, full %v, first %v, began %v: %d, want %d",
				tt.journal, tt.full, tt.first, tt.began, got, tt.want)
		}
		if writes := tt.want == Begin || tt.want == GoOn; writes != tt.mayRemoveOrOverride {
			t.Errorf("%+v contradicts itself", tt)
		}
	}
}
