// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

// TestClasses: what a mover says is what a manager reads, and its exit code says the same.
func TestClasses(t *testing.T) {
	t.Parallel()
	codes := map[int]wire.Class{}
	for class, want := range map[wire.Class]struct {
		code  int
		again bool
	}{
		wire.Done:           {0, false},
		wire.User:           {2, false},
		wire.Retry:          {3, true},
		wire.RetryUncounted: {4, true},
	} {
		if class.ExitCode() != want.code || class.Again() != want.again {
			t.Errorf(
				"%s has exit code %d and Again %v, want %d and %v",
				class,
				class.ExitCode(),
				class.Again(),
				want.code,
				want.again,
			)
		}
		if other, taken := codes[class.ExitCode()]; taken {
			t.Errorf("%s and %s have the same exit code", class, other)
		}
		codes[class.ExitCode()] = class
		said := wire.Report{Class: class, Message: "x", Progressed: true, Began: true}
		read, err := wire.ParseReport(string(said.Encode()))
		if err != nil || read != said {
			t.Errorf("%+v was read as %+v (%v)", said, read, err)
		}
	}
	if _, err := wire.ParseReport(`{"class":"Perhaps"}`); err == nil {
		t.Error("a class that nobody knows was read")
	}
	later, err := wire.ParseReport(`{"class":"Done","objects":3,"sizeOnlyObjects":1,"ofALaterVersion":{"x":1}}`)
	if err != nil || later.Objects != 3 || later.SizeOnlyObjects != 1 {
		t.Errorf("the report of a later mover was read as %+v (%v)", later, err)
	}
	if code := wire.Class("Perhaps").ExitCode(); code != 3 {
		t.Errorf("a class that nobody knows has exit code %d, want that of Retry", code)
	}
}
