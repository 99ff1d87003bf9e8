// SPDX-License-Identifier: Apache-2.0

package image

import (
	"io"
	"strings"
	"testing"
)

// A clone without its history must not pass for one that has nothing to upgrade from.
func TestACommitThatIsNotInTheCloneIsAnError(t *testing.T) {
	_, err := At(t.Context(), strings.Repeat("0", 40), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "git fetch --unshallow") {
		t.Errorf("got %v, want an error that says how to get the history", err)
	}
}
