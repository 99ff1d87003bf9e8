// SPDX-License-Identifier: Apache-2.0

package plan

import "testing"

func TestParseETag(t *testing.T) {
	for name, tt := range map[string]struct {
		in        string
		want      string // Rendered; empty when it has no digest.
		wantParts int32
	}{
		"a single part":                {`"d41d8cd98f00b204e9800998ecf8427e"`, "d41d8cd98f00b204e9800998ecf8427e", 0},
		"without quotes":               {"d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e", 0},
		"a weak one":                   {`W/"d41d8cd98f00b204e9800998ecf8427e"`, "d41d8cd98f00b204e9800998ecf8427e", 0},
		"multipart":                    {`"d41d8cd98f00b204e9800998ecf8427e-12"`, "d41d8cd98f00b204e9800998ecf8427e-12", 12},
		"one part uploaded as many":    {"d41d8cd98f00b204e9800998ecf8427e-1", "d41d8cd98f00b204e9800998ecf8427e-1", 1},
		"too short":                    {"d41d8cd98f00b204", "", OpaqueETag},
		"not hexadecimal":              {"zz1d8cd98f00b204e9800998ecf8427e", "", OpaqueETag},
		"upper case is another format": {"D41D8CD98F00B204E9800998ECF8427E", "", OpaqueETag},
		"zero parts":                   {"d41d8cd98f00b204e9800998ecf8427e-0", "", OpaqueETag},
		"a part count with a sign":     {"d41d8cd98f00b204e9800998ecf8427e-+3", "", OpaqueETag},
		"nothing":                      {"", "", OpaqueETag},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := parseETag(tt.in)
			if got.Parts != tt.wantParts || ok != (tt.want != "") || ok && got.String() != tt.want {
				t.Errorf("parseETag(%q) = %v parts %d ok %v", tt.in, got, got.Parts, ok)
			}
		})
	}
}
