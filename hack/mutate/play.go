// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Outcomes of a mutation.
const (
	killed   = "killed"
	survived = "SURVIVED"
	unjudged = "ERROR"
)

// result is what became of a patch.
type result struct {
	patch   patch
	outcome string
	// by is the first line of the test that failed, or what went wrong.
	by   string
	took time.Duration
}

// play proves the tests on the unchanged copy, then plays each patch.
func play(ctx context.Context, copied scratch, patches []patch) []result {
	unchanged := map[string]string{} // What the tests of a command say without a mutation.
	for _, k := range together(patches) {
		fmt.Fprintln(os.Stderr, "unchanged:", k)
		unchanged[k.program()], _ = test(ctx, copied, k)
	}
	var results []result
	for _, p := range patches {
		began := time.Now()
		r := playOne(ctx, copied, p, unchanged)
		r.took = time.Since(began).Round(time.Second / 10)
		fmt.Fprintf(os.Stderr, "%-8s %6s  %s: %s\n", r.outcome, r.took, p.name, r.by)
		results = append(results, r)
		if ctx.Err() != nil {
			break
		}
	}
	return results
}

func playOne(ctx context.Context, copied scratch, p patch, unchanged map[string]string) result {
	for _, k := range p.killers {
		if why := unsound(unchanged[k.program()], k); why != "" {
			return result{patch: p, outcome: unjudged, by: why}
		}
	}
	undo, err := copied.apply(ctx, p.file)
	if err != nil {
		return result{patch: p, outcome: unjudged, by: err.Error()}
	}
	r := judge(ctx, copied, p)
	if err := undo(); err != nil {
		return result{patch: p, outcome: unjudged, by: err.Error()}
	}
	return r
}

// judge runs the tests of a patch that is applied. All of them have to notice.
func judge(ctx context.Context, copied scratch, p patch) result {
	if err := copied.build(ctx, p.packages); err != nil {
		return result{patch: p, outcome: unjudged, by: err.Error()}
	}
	by := ""
	for _, k := range p.killers {
		out, err := test(ctx, copied, k)
		why := unnoticed(out, k)
		switch {
		case err == nil:
			return result{patch: p, outcome: survived, by: k.String()}
		case ctx.Err() != nil:
			return result{patch: p, outcome: unjudged, by: ctx.Err().Error()}
		case why != "":
			return result{patch: p, outcome: unjudged, by: why}
		case by == "":
			by = firstFailure(out)
		}
	}
	return result{patch: p, outcome: killed, by: by}
}

// unnoticed tells why a run that failed is no proof that one of its named tests noticed: what does not
// build, a node that does not start, a timeout and a kill for want of memory fail whatever is tested.
// It is "" where a named test failed.
func unnoticed(out string, k killer) string {
	failed := false
	for line := range strings.Lines(out) {
		name, ok := strings.CutPrefix(line, "--- FAIL: ")
		name, _, _ = strings.Cut(name, " ")
		switch {
		case strings.Contains(line, "[build failed]"), strings.Contains(line, "[setup failed]"):
			return "the test does not build: " + firstLine(out)
		case strings.HasPrefix(line, "panic: test timed out"):
			return strings.TrimSpace(line)
		}
		failed = failed || ok && slices.ContainsFunc(k.top(), func(named *regexp.Regexp) bool {
			return named.MatchString(name)
		})
	}
	if !failed {
		return "no named test failed: " + lastLine(out)
	}
	return ""
}

// test runs a killer. It stops at the first failure where that is enough.
func test(ctx context.Context, copied scratch, k killer) (string, error) {
	arguments := append([]string{}, k.command[1:]...)
	if k.story() {
		return copied.in(ctx, k.command[0], append(arguments, "-v", "-run", k.tests)...)
	}
	return copied.in(ctx, k.command[0], append(arguments, "-vet=off", "-ldflags=-w", "-count=1",
		"-timeout=5m", "-v", "-run", k.tests)...)
}

// unsound tells why a test cannot be relied on, by what it said of the unchanged copy: it
// failed, was skipped, or does not exist. It is "" where it can.
func unsound(out string, k killer) string {
	for _, want := range k.top() {
		passed := false
		for line := range strings.Lines(out) {
			words := strings.Fields(line)
			if len(words) < 3 || words[0] != "---" || !want.MatchString(words[2]) || strings.HasPrefix(line, " ") {
				continue
			}
			if words[1] == "FAIL:" {
				return fmt.Sprintf("%s fails without a mutation: %s", words[2], firstFailure(out))
			}
			passed = passed || words[1] == "PASS:"
		}
		if !passed {
			return fmt.Sprintf("no test %s passes without a mutation: %s", want, lastLine(out))
		}
	}
	return ""
}

// firstFailure is the name of the first test that failed and the first line that it wrote.
func firstFailure(out string) string {
	name, said := "", ""
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		switch {
		case said == "" && strings.Contains(line, "_test.go:"):
			said = line
		case strings.HasPrefix(line, "panic: "):
			return line
		case name == "" && strings.HasPrefix(line, "--- FAIL: "):
			name, _, _ = strings.Cut(strings.TrimPrefix(line, "--- FAIL: "), " ")
		}
	}
	if name == "" {
		return lastLine(out)
	}
	return strings.TrimSpace(name + " " + said)
}

func table(to io.Writer, results []result) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nMUTATION\tOUTCOME\tTIME\tBY")
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.patch.name, r.outcome, r.took, short(r.by))
	}
	_ = w.Flush()
}

func short(text string) string {
	const most = 140
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// verdict is nil when every mutation was killed.
func verdict(results []result) error {
	count := map[string]int{}
	for _, r := range results {
		count[r.outcome]++
	}
	if count[killed] == len(results) {
		return nil
	}
	return fmt.Errorf("%d killed, %d survived, %d could not be judged", count[killed], count[survived], count[unjudged])
}
