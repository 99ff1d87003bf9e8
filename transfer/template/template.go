// SPDX-License-Identifier: Apache-2.0

// Package template makes the prefix of a run from the template that an export names. It knows
// four values and no functions. It is pure.
package template

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Values are what a template may speak of.
type Values struct {
	// Namespace and Claim are those that are exported.
	Namespace string
	Claim     string
	// Run is the UID of the S3Export.
	Run string
	// Time is when the S3Export was created; {{.Date}} is its day in UTC, such as 2026-11-26.
	Time time.Time
}

// Default is the prefix of an export that names none.
const Default = "{{.Namespace}}/{{.Claim}}/{{.Run}}/"

// maxPrefix is the length of a prefix in bytes. A key has 1,024 bytes at most; the rest is left for the
// paths of files.
const maxPrefix = 512

// reserved is the directory below a prefix that holds the manifest.
const reserved = ".s3populator"

// fields are the values by the names that a template uses.
var fields = []struct {
	name  string
	value func(Values) string
}{
	{".Namespace", func(v Values) string { return v.Namespace }},
	{".Claim", func(v Values) string { return v.Claim }},
	{".Run", func(v Values) string { return v.Run }},
	{".Date", func(v Values) string { return v.Time.UTC().Format(time.DateOnly) }},
}

// longest are values as long as they may be: names of Kubernetes are DNS subdomains.
var longest = Values{
	Namespace: strings.Repeat(
		"n",
		63,
	), Claim: strings.Repeat("c", 253), Run: strings.Repeat("r", 253), Time: time.Unix(0, 0),
}

// Check tells what is wrong with a template whatever its values are, and how to correct it. A prefix that only
// some values make too long is Expand's to refuse.
func Check(text string) error {
	prefix, err := fill(text, longest)
	if err != nil {
		return err
	}
	return safe(prefix)
}

// Expand returns the prefix of one run. It ends in a slash, or is empty for the root of the bucket.
func Expand(text string, v Values) (string, error) {
	prefix, err := fill(text, v)
	if err != nil {
		return "", err
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	if err := safe(prefix); err != nil {
		return "", err
	}
	if len(prefix) > maxPrefix {
		return "", fmt.Errorf("the prefix %q has %d bytes, of which %d are left to the paths of files; shorten it to %d",
			prefix, len(prefix), 1024-len(prefix), maxPrefix)
	}
	return prefix, nil
}

// PerRun tells whether each run gets a prefix of its own.
func PerRun(text string) bool { return strings.Contains(text, "{{.Run}}") }

// PerClaim tells whether claims of one namespace get different prefixes.
func PerClaim(text string) bool { return PerRun(text) || strings.Contains(text, "{{.Claim}}") }

// fill replaces each {{.Name}}; no other braces are allowed.
func fill(text string, v Values) (string, error) {
	var out strings.Builder
	for rest := text; ; {
		before, after, open := strings.Cut(rest, "{{")
		if strings.ContainsAny(before, "{}") {
			return "", fmt.Errorf("%q has braces that are not %s; remove them", text, usage())
		}
		out.WriteString(before)
		if !open {
			return out.String(), nil
		}
		name, tail, closed := strings.Cut(after, "}}")
		if !closed {
			return "", fmt.Errorf("%q opens {{ and does not close it; write %s", text, usage())
		}
		value, ok := lookUp(name, v)
		if !ok {
			return "", fmt.Errorf("{{%s}} is not known; use %s", name, usage())
		}
		out.WriteString(value)
		rest = tail
	}
}

func lookUp(name string, v Values) (string, bool) {
	for _, f := range fields {
		if f.name == name {
			return f.value(v), true
		}
	}
	return "", false
}

// usage lists what may be written.
func usage() string {
	names := make([]string, 0, len(fields))
	for _, f := range fields {
		names = append(names, "{{"+f.name+"}}")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// safe refuses a prefix that another tool would read as another one, that no source could name, or that lies
// among our own objects.
func safe(prefix string) error {
	if prefix == "" {
		return nil
	}
	if !utf8.ValidString(prefix) || strings.ContainsFunc(prefix, unicode.IsControl) {
		return fmt.Errorf("the prefix %q holds characters that cannot be printed; remove them", prefix)
	}
	if strings.HasPrefix(prefix, "/") {
		return fmt.Errorf("the prefix %q begins with a slash; remove it", prefix)
	}
	for segment := range strings.SplitSeq(strings.TrimSuffix(prefix, "/"), "/") {
		switch segment {
		case "":
			return fmt.Errorf("the prefix %q has two slashes in a row; remove one", prefix)
		case ".", "..":
			return fmt.Errorf("the prefix %q has the segment %q, which programs resolve; remove it", prefix, segment)
		case reserved:
			return fmt.Errorf("the prefix %q lies in %s/, which holds the manifests of exports; choose another",
				prefix, reserved)
		}
	}
	return nil
}
