// SPDX-License-Identifier: Apache-2.0

// Package s3uri parses and prints s3://bucket/path. It imports the standard library only and
// never contacts a server: whether a bucket exists is not its business.
package s3uri

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// scheme begins every URI.
const scheme = "s3://"

// maxPath is the length of the longest key in bytes.
const maxPath = 1024

// bucketName is the rule of spec.bucket of an S3Source.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]+[a-z0-9]$`)

// URI is a bucket and a path in it: a key, or a prefix. The path is taken literally, because
// keys may hold '%', '?' and '#'; nothing is decoded.
type URI struct {
	Bucket string
	Path   string
}

// Parse reads a URI, or tells what is wrong with it and how it should be.
func Parse(s string) (URI, error) {
	rest, ok := strings.CutPrefix(s, scheme)
	if !ok {
		return URI{}, errors.New("must begin with s3://, such as s3://datasets/imagenet/; the server goes into the endpoint")
	}
	bucket, path, _ := strings.Cut(rest, "/")
	if err := checkBucket(bucket); err != nil {
		return URI{}, err
	}
	if err := checkPath(path); err != nil {
		return URI{}, err
	}
	return URI{Bucket: bucket, Path: path}, nil
}

func checkBucket(name string) error {
	switch {
	case name == "":
		return errors.New("names no bucket; write s3://bucket/prefix")
	case strings.ContainsAny(name, "@:"):
		return errors.New("must not hold credentials or a port; they go into the Secret and the endpoint")
	case len(name) < 3 || len(name) > 63 || !bucketName.MatchString(name) || strings.Contains(name, ".."):
		return fmt.Errorf(
			"names the bucket %q, but a bucket has 3 to 63 lower-case letters, digits, dots and dashes, and begins and ends "+
				"with a letter or digit",
			name,
		)
	}
	return nil
}

func checkPath(path string) error {
	switch {
	case strings.HasPrefix(path, "/"):
		return errors.New("has '//' after the bucket; keys in S3 do not begin with '/', so remove one")
	case len(path) > maxPath:
		return fmt.Errorf("has a path of %d bytes; S3 allows %d", len(path), maxPath)
	case !utf8.ValidString(path):
		return errors.New("has a path that is not UTF-8")
	case strings.ContainsFunc(path, unicode.IsControl):
		return errors.New("has a control character in its path; remove it")
	}
	return nil
}
