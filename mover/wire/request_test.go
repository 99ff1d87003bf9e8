// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"strings"
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

// A mover never guesses what a request of another version means.
func TestParseRequestRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ arg, wantErr string }{
		"no engine is the mover's choice": {arg: `{"operation":"Inventory","source":{"bucket":"b"}}`},
		"Auto is too": {
			arg: `{"operation":"Inventory","source":{"bucket":"b"},"transfer":{"engine":"Auto"}}`,
		},
		"mc is known": {
			arg: `{"operation":"Inventory","source":{"bucket":"b"},"transfer":{"engine":"MC"}}`,
		},
		"so is the engine of our own": {
			arg: `{"operation":"Inventory","source":{"bucket":"b"},"transfer":{"engine":"Native"}}`,
		},
		"an engine of a later mover": {
			`{"operation":"Inventory","source":{"bucket":"b"},"transfer":{"engine":"Warp"}}`,
			`unknown transfer.engine "Warp"`,
		},
		"an operation of a later mover": {`{"operation":"Burn","source":{"bucket":"b"}}`, `unknown operation "Burn"`},
		"a field of a later mover": {
			`{"operation":"Inventory","source":{"bucket":"b","speed":1}}`,
			`unknown field "speed"`,
		},
		"no bucket": {`{"operation":"Inventory","source":{}}`, "source.bucket is empty"},
		"a volume of an unknown mode": {
			`{"operation":"Populate","source":{"bucket":"b"},"volume":{"mode":"Tape"}}`,
			`unknown volume.mode "Tape"`,
		},
		"a second request behind the first": {
			`{"operation":"Inventory","source":{"bucket":"b"}} {}`,
			"data after the JSON object",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := wire.ParseRequest(test.arg)
			switch {
			case test.wantErr == "" && err != nil:
				t.Errorf("ParseRequest(%s): %v, want no error", test.arg, err)
			case test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)):
				t.Errorf("ParseRequest(%s): %v, want an error with %q", test.arg, err, test.wantErr)
			}
		})
	}
}
