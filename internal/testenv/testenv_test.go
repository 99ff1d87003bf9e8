// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"fmt"
	"testing"
)

// recorder is a test whose end is only noted.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) { r.skipped = fmt.Sprintf(format, args...) }

func (r *recorder) Fatalf(format string, args ...any) { r.failed = fmt.Sprintf(format, args...) }

// Fatalf of a real test does not return; the Skipf after it is of no account here.
func TestWhatIsMissingSkipsOrFails(t *testing.T) {
	for name, missing := range map[string]func(testing.TB){
		"a program":  func(t testing.TB) { Program(t, "no-such-program", "no-such-package") },
		"a variable": func(t testing.TB) { Variable(t, "NO_SUCH_VARIABLE_IS_SET") },
	} {
		for required, wantFailure := range map[string]bool{"": false, "1": true} {
			t.Run(fmt.Sprintf("%s, %s=%q", name, Required, required), func(t *testing.T) {
				t.Setenv(Required, required)
				r := &recorder{TB: t}
				missing(r)
				if failed := r.failed != ""; failed != wantFailure || !failed && r.skipped == "" {
					t.Errorf("failed with %q, skipped with %q", r.failed, r.skipped)
				}
			})
		}
	}
}

func TestWhatIsThereIsReturned(t *testing.T) {
	t.Setenv(Required, "1")
	t.Setenv("A_VARIABLE", "value")
	if got := Variable(t, "A_VARIABLE"); got != "value" {
		t.Errorf("Variable = %q", got)
	}
	if got := Program(t, "go", "golang"); got == "" {
		t.Error("the go command was not found")
	}
}
