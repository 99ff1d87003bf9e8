// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

func TestCheck(t *testing.T) {
	tests := map[string]struct {
		rule    Rule
		wantErr bool
	}{
		"a failure":                          {rule: Fail(CreateVolume, 1, codes.Internal)},
		"a rescheduling":                     {rule: Reschedule(1).In("a")},
		"a delay":                            {rule: Rule{Method: NodePublish, Delay: time.Second}},
		"a hold":                             {rule: Rule{Method: NodePublish, Hold: true}},
		"a lost answer":                      {rule: Rule{Method: CreateVolume, Lost: true, Fail: codes.Internal}},
		"a shortfall":                        {rule: Rule{Method: CreateVolume, Shortfall: 1}},
		"no method":                          {rule: Rule{Hold: true}, wantErr: true},
		"nothing to do":                      {rule: Rule{Method: CreateVolume}, wantErr: true},
		"a failure that is none":             {rule: Fail(CreateVolume, 1, codes.OK), wantErr: true},
		"a negative count":                   {rule: Fail(CreateVolume, -1, codes.Internal), wantErr: true},
		"a delay that no test should wait":   {rule: Rule{Method: CreateVolume, Delay: time.Hour}, wantErr: true},
		"a negative delay":                   {rule: Rule{Method: CreateVolume, Delay: -1}, wantErr: true},
		"a lost answer that is no failure":   {rule: Rule{Method: CreateVolume, Lost: true, Hold: true}, wantErr: true},
		"a shortfall of another call":        {rule: Rule{Method: DeleteVolume, Shortfall: 1}, wantErr: true},
		"a volume larger than it says it is": {rule: Rule{Method: CreateVolume, Shortfall: -1}, wantErr: true},
		"a shortfall together with a failure": {
			rule:    Rule{Method: CreateVolume, Shortfall: 1, Fail: codes.Internal},
			wantErr: true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := test.rule.Check(); (err != nil) != test.wantErr {
				t.Errorf("got %v, want error: %t", err, test.wantErr)
			}
		})
	}
}
