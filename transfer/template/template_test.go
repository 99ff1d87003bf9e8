// SPDX-License-Identifier: Apache-2.0

package template

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var values = Values{
	Namespace: "ml", Claim: "results", Run: "8d3f",
	Time: time.Date(2026, 11, 27, 1, 30, 0, 0, time.FixedZone("east", 2*60*60)),
}

func TestExpand(t *testing.T) {
	tests := map[string]struct {
		text, want string
		wantErr    string
		atCheck    bool // Check finds the error too, without values.
	}{
		"nothing is the root of the bucket": {text: "", want: ""},
		"a fixed prefix":                    {text: "runs/beta/", want: "runs/beta/"},
		"a slash is added":                  {text: "runs/beta", want: "runs/beta/"},
		"all values, the day in UTC": {
			text: "runs/{{.Namespace}}/{{.Claim}}/{{.Run}}/{{.Date}}/",
			want: "runs/ml/results/8d3f/2026-11-26/",
		},
		"values within a segment":           {text: "a-{{.Claim}}-{{.Date}}", want: "a-results-2026-11-26/"},
		"blanks in the braces":              {text: "{{ .Claim }}", wantErr: "is not known", atCheck: true},
		"what is used for none":             {text: Default, want: "ml/results/8d3f/"},
		"a name that begins with dots":      {text: "..a/.b/c..", want: "..a/.b/c../"},
		"spaces and characters of a script": {text: "Läufe/{{.Claim}} 1/", want: "Läufe/results 1/"},
		"other braces":                      {text: "{a}/{{.Claim}}", wantErr: "braces that are not", atCheck: true},
		"another value": {
			text: "{{.Name}}/", atCheck: true,
			wantErr: "{{.Name}} is not known; use {{.Namespace}}, {{.Claim}}, {{.Run}} or {{.Date}}",
		},
		"a function":             {text: "{{printf .Claim}}", wantErr: "is not known", atCheck: true},
		"a value without a dot":  {text: "{{Claim}}", wantErr: "is not known", atCheck: true},
		"nothing in the braces":  {text: "a{{}}b", wantErr: "is not known", atCheck: true},
		"braces in braces":       {text: "{{{{.Claim}}}}", wantErr: "is not known", atCheck: true},
		"it is not closed":       {text: "a/{{.Claim", wantErr: "does not close it", atCheck: true},
		"it was not opened":      {text: "a/.Claim}}", wantErr: "braces that are not", atCheck: true},
		"a slash at the front":   {text: "/a", wantErr: "begins with a slash; remove it", atCheck: true},
		"a slash alone":          {text: "/", wantErr: "begins with a slash", atCheck: true},
		"two slashes":            {text: "a//b", wantErr: "two slashes in a row", atCheck: true},
		"two slashes at the end": {text: "a//", wantErr: "two slashes in a row", atCheck: true},
		"a way up":               {text: "a/../b", wantErr: `the segment ".."`, atCheck: true},
		"a way up at the end":    {text: "a/..", wantErr: `the segment ".."`, atCheck: true},
		"a dot":                  {text: "./a", wantErr: `the segment "."`, atCheck: true},
		"our own directory":      {text: ".s3populator", wantErr: "holds the manifests", atCheck: true},
		"inside of it":           {text: "a/.s3populator/{{.Run}}", wantErr: "holds the manifests", atCheck: true},
		"a newline":              {text: "a\nb", wantErr: "cannot be printed", atCheck: true},
		"not UTF-8":              {text: "a\xffb", wantErr: "cannot be printed", atCheck: true},
		"too long":               {text: strings.Repeat("x", 512) + "/", wantErr: "shorten it to 512"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Expand(tt.text, values)
			if got != tt.want || tt.wantErr == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("expanded to %q, %v; want %q, error %q", got, err, tt.want, tt.wantErr)
			}
			if err := Check(tt.text); (err != nil) != tt.atCheck {
				t.Errorf("check found %v, want an error: %t", err, tt.atCheck)
			}
		})
	}
}

// TestValuesCannotLeaveThePrefix: names of Kubernetes hold no slash and are no way up, but whoever
// calls is not trusted with that.
func TestValuesCannotLeaveThePrefix(t *testing.T) {
	for _, bad := range []string{"..", ".", "", "../x", "a/../b", ".s3populator", "\x00"} {
		if got, err := Expand("runs/{{.Claim}}/x", Values{Claim: bad}); err == nil {
			t.Errorf("claim %q expands to %q", bad, got)
		}
	}
}

func TestPerRunAndPerClaim(t *testing.T) {
	for text, want := range map[string]struct{ run, claim bool }{
		Default: {true, true}, "a-{{.Run}}": {true, true}, "{{.Claim}}/": {false, true}, "": {}, "runs/": {},
		"{{.Namespace}}/{{.Date}}": {}, "{{.Run": {},
	} {
		if PerRun(text) != want.run || PerClaim(text) != want.claim {
			t.Errorf("%q has a prefix for each run: %t, for each claim: %t; want %t, %t",
				text, PerRun(text), PerClaim(text), want.run, want.claim)
		}
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("runs/{{.Namespace}}/{{.Claim}}/{{.Run}}/{{.Date}}", "a", "b", "c")
	f.Add("{{.Claim}}{{.Claim}}", "", ".", "x")
	f.Add(".{{.Run}}/a", "", "", ".")
	f.Fuzz(func(t *testing.T, text, namespace, claim, run string) {
		got, err := Expand(text, Values{Namespace: namespace, Claim: claim, Run: run})
		if err != nil {
			return
		}
		inside := "/" + got
		if !utf8.ValidString(got) || len(got) > maxPrefix || got != "" && !strings.HasSuffix(got, "/") {
			t.Fatalf("%q is no prefix", got)
		}
		for _, bad := range []string{"//", "/./", "/../", "/.s3populator/", "\x00"} {
			if strings.Contains(inside, bad) {
				t.Fatalf("%q holds %q", got, bad)
			}
		}
	})
}
