// SPDX-License-Identifier: Apache-2.0

package s3uri

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	tests := map[string]struct {
		in      string
		want    URI
		wantErr string
	}{
		"a directory":                      {in: "s3://datasets/imagenet/", want: URI{Bucket: "datasets", Path: "imagenet/"}},
		"a whole bucket":                   {in: "s3://datasets", want: URI{Bucket: "datasets"}},
		"a whole bucket with a slash":      {in: "s3://datasets/", want: URI{Bucket: "datasets"}},
		"nothing is decoded":               {in: "s3://data/a%20b?c#d e", want: URI{Bucket: "data", Path: "a%20b?c#d e"}},
		"letters of any language":          {in: "s3://data/Äpfel/日本/", want: URI{Bucket: "data", Path: "Äpfel/日本/"}},
		"dots in the bucket":               {in: "s3://my.data-1/x", want: URI{Bucket: "my.data-1", Path: "x"}},
		"an inner double slash is a key's": {in: "s3://data/a//b", want: URI{Bucket: "data", Path: "a//b"}},
		"the longest path": {
			in:   "s3://data/" + strings.Repeat("x", 1024),
			want: URI{Bucket: "data", Path: strings.Repeat("x", 1024)},
		},
		"nothing at all":       {wantErr: "must begin with s3://"},
		"a web address":        {in: "https://minio:9000/datasets", wantErr: "goes into the endpoint"},
		"an upper-case scheme": {in: "S3://datasets", wantErr: "must begin with s3://"},
		"a blank before it":    {in: " s3://datasets", wantErr: "must begin with s3://"},
		"no bucket":            {in: "s3://", wantErr: "names no bucket"},
		"no bucket but a path": {in: "s3:///imagenet", wantErr: "names no bucket"},
		"credentials":          {in: "s3://key:secret@datasets/x", wantErr: "credentials"},
		"a port":               {in: "s3://minio:9000/x", wantErr: "port"},
		"capitals":             {in: "s3://Datasets", wantErr: `"Datasets"`},
		"too short":            {in: "s3://ab", wantErr: "3 to 63"},
		"too long":             {in: "s3://" + strings.Repeat("a", 64), wantErr: "3 to 63"},
		"two dots":             {in: "s3://a..b", wantErr: "3 to 63"},
		"a dash at the end":    {in: "s3://data-/x", wantErr: "3 to 63"},
		"a leading slash":      {in: "s3://data//x", wantErr: "remove one"},
		"a path too long":      {in: "s3://data/" + strings.Repeat("x", 1025), wantErr: "1025 bytes"},
		"a line break":         {in: "s3://data/a\nb", wantErr: "control character"},
		"not UTF-8":            {in: "s3://data/\xff", wantErr: "UTF-8"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(tt.in)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("Parse(%q): %v, want an error with %q", tt.in, err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatalf("Parse(%q): %v", tt.in, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
}

// text is the URI that Parse reads as u.
func text(u URI) string { return scheme + u.Bucket + "/" + u.Path }

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"s3://datasets/imagenet/", "s3://a..b", "s3://key:secret@b/x", "s3://data/a%20b?c#d",
		"s3:///", "s3://abc//",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(text(u))
		if err != nil || again != u {
			t.Errorf("%q parses as %+v, which prints as %q and parses as %+v, %v", s, u, text(u), again, err)
		}
	})
}
