// SPDX-License-Identifier: Apache-2.0

package volume

import (
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
