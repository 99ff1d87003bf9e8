// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence   = regexp.MustCompile("(?ms)^```.*?^```$") //nolint:gocritic // (?m): the second ^ is the start of a line.
	code    = regexp.MustCompile("`[^`\n]*`")
	heading = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
)

func TestRelativeLinksLeadSomewhere(t *testing.T) {
	found := 0
	for _, path := range documents(t) {
		text := code.ReplaceAllString(fence.ReplaceAllString(document(t, path), ""), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			found++
			if problem := follow(t, path, m[1]); problem != "" {
				t.Errorf("%s: link to %s: %s", path, m[1], problem)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d links were found", found)
	}
}

// follow says what is wrong with a link in a document.
func follow(t *testing.T, from, to string) string {
	t.Helper()
	file, anchor, _ := strings.Cut(to, "#")
	target := from
	if file != "" {
		target = filepath.Join(filepath.Dir(from), file)
	}
	if _, err := os.Stat(filepath.Join(top, target)); err != nil {
		return "there is no " + target
	}
	if anchor == "" {
		return ""
	}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(document(t, target), ""), -1) {
		if slug(m[1]) == anchor {
			return ""
		}
	}
	return "no heading of " + target + " makes this anchor"
}

// slug is the anchor that GitHub makes from a heading.
func slug(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, title)
}

func TestSlug(t *testing.T) {
	for title, want := range map[string]string{
		"Where to look":              "where-to-look",
		"No keys at all: identity":   "no-keys-at-all-identity",
		"Reasons on an `S3Source`":   "reasons-on-an-s3source",
		"Upgrade, outage, uninstall": "upgrade-outage-uninstall",
	} {
		if got := slug(title); got != want {
			t.Errorf("slug(%q) = %q, want %q", title, got, want)
		}
	}
}
