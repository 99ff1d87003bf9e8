// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// Who may not give files away is told which field to correct.
func TestOwnersThatCannotBe(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"a user":  {notOwned("a", 7, -1, syscall.EPERM), "spec.mover.podSecurityContext.runAsUser"},
		"a group": {notOwned("a", -1, 7, syscall.EPERM), "spec.mover.podSecurityContext.fsGroup"},
		"a mode":  {notModed("a", 0o600, syscall.EPERM), "remove spec.files.mode"},
	} {
		if fault.ReasonOf(test.err) != wire.VolumeNotWritable || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("%s: %v, want VolumeNotWritable with %q", name, test.err, test.want)
		}
	}
}

// A mover that has lost its volume changes no owners and modes any more.
func TestOwnersAreNotSetAnyMore(t *testing.T) {
	dir := t.TempDir()
	p, err := makePlan(t, wire.Request{Operation: wire.Populate}, object{key: "f", size: 0})
	if err != nil {
		t.Fatal(err)
	}
	v, err := Open(dir, "")
	if err == nil {
		err = errors.Join(v.MakeTarget(), os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	lost := errors.New("another mover has the volume")
	ctx, stop := context.WithCancelCause(t.Context())
	stop(lost)
	if err := v.SetOwners(ctx, p, wire.Files{Mode: new(uint32(0o640))}); !errors.Is(err, lost) {
		t.Errorf("it ends with %v, want %v", err, lost)
	}
	if info, err := os.Stat(filepath.Join(dir, "f")); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file has mode %v (%v)", info.Mode(), err)
	}
}
