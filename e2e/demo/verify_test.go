// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	objects := map[string]string{"a": "1", "b/c": "2"}
	cases := map[string]struct{ listing, want string }{
		"equal": {
			`{"path":"a","sha256":"1","mode":"-rw"}{"path":"b","mode":"drwx"}{"path":"b/c","sha256":"2","mode":"-rw"}`,
			"",
		},
		"a missing file": {
			`{"path":"a","sha256":"1","mode":"-rw"}`,
			"1 objects are missing on the volume, the first is b/c",
		},
		"other bytes":     {`{"path":"a","sha256":"9","mode":"-rw"}`, "a has sha256 9, its object 1"},
		"a file too many": {`{"path":"x","sha256":"1","mode":"-rw"}`, "x is on the volume and not in the bucket"},
		"no listing":      {`oops`, "read the reader's output"},
	}
	for name, c := range cases {
		err := compare([]byte(c.listing), objects)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
