// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"strings"
	"testing"
)

func TestSecretsDoNotPrint(t *testing.T) {
	id := Identity{AccessKey: "AKIA", SecretKey: newSecret("hush"), SessionToken: newSecret("hush")}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if s := fmt.Sprintf(format, id); strings.Contains(s, "hush") {
			t.Errorf("%s prints %s", format, s)
		}
	}
}
