// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

const conditionsPage = "../../docs/conditions.md"

const conditionsHead = `# What a claim says, state by state

Generated from the rules of the populator: each row is a state of the cluster, decided by the
very code that writes the condition. The names are examples: claim ` + "`data`" + ` with the UID
` + "`1111…`" + `, its S3Source ` + "`models`" + `, StorageClass ` + "`fast`" + `, volume ` + "`pv-1`" + `. What to do
about each reason is in [operations.md](operations.md#reasons-on-a-claim).

"Silent" means that the claim's condition is not written yet, because the state normally passes
by itself; the column says for how long at most, and which event explains the claim until then.
A claim that was told something else before is corrected at once.

| State | Condition | Says | When |
| --- | --- | --- | --- |
`

// decided is the first rule that decides, by its name, with its words before they are hushed.
func decided(s State) (string, Decision) {
	for _, r := range rules() {
		if d, ok := r(s); ok {
			name := runtime.FuncForPC(reflect.ValueOf(r).Pointer()).Name()
			return name[strings.LastIndex(name, ".")+1:], inTurn(s, d)
		}
	}
	return "", Decision{}
}

// page is docs/conditions.md as it has to be, and the rules that its rows come from.
func page() (string, map[string]bool) {
	var out strings.Builder
	out.WriteString(conditionsHead)
	used := map[string]bool{}
	for _, row := range conditionRows() {
		rule, d := decided(row.in)
		used[rule] = true
		condition, says := "stays as it was", "–"
		if d.Message != "" {
			says = "In the event: " + d.Message
		}
		if d.Reason != "" {
			condition, says = string(d.Status)+" `"+string(d.Reason)+"`", d.Message
		}
		fmt.Fprintf(
			&out,
			"| %s | %s | %s | %s |\n",
			row.state,
			condition,
			strings.ReplaceAll(says, "|", "\\|"),
			when(row.in, d),
		)
	}
	return out.String(), used
}

// when tells how long a state may last without a word, and what is done in it.
func when(s State, d Decision) string {
	event := ""
	if d.Announce != "" {
		event = ", with the event `" + string(d.Announce) + "`"
	}
	switch {
	case d.Action != Wait && d.Reason != "":
		return fmt.Sprintf("at once; next step: %s%s", d.Action, event)
	case d.Action != Wait:
		return fmt.Sprintf("a moment; next step: %s%s", d.Action, event)
	case d.Quiet || d.Reason == "" && d.Recheck > 0:
		until := "events of Kubernetes"
		if s.Prime != nil || s.Promised != nil {
			until = "event `PopulationStarted`"
		}
		return fmt.Sprintf("silent for at most %s; until then: %s", d.Recheck.Round(time.Second), until)
	case d.Reason == "":
		return "at rest"
	case d.Recheck > 0:
		return fmt.Sprintf("at once; looked at again after %s, or when something changes", d.Recheck.Round(time.Second))
	}
	return "at once; looked at again when something changes"
}

func TestConditionsPageIsCurrent(t *testing.T) {
	want, _ := page()
	if *update {
		if err := os.WriteFile(conditionsPage, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(conditionsPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Error(
			"docs/conditions.md is not what the rules say: run `go test ./populator/protocol -run ConditionsPage -update`, and read it",
		)
	}
}

// Every rule has a row, and every sentence that a rule may say stands in one.
func TestConditionsPageIsWhole(t *testing.T) {
	text, used := page()
	for _, r := range rules() {
		name := runtime.FuncForPC(reflect.ValueOf(r).Pointer()).Name()
		if name = name[strings.LastIndex(name, ".")+1:]; !used[name] {
			t.Errorf("rule %s decides no row", name)
		}
	}
	found := 0
	for where, sentence := range sentences(t) {
		found++
		if !strings.Contains(text, sentence) {
			t.Errorf("%s: no row says %q", where, sentence)
		}
	}
	if found < 40 {
		t.Errorf("only %d sentences were found in the rules", found)
	}
}

var verb = regexp.MustCompile(`%[a-z]`)

// sentences are the longest parts without a verb of what the rules' literals say.
func sentences(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("rules_*.go")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, file := range files {
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			value, _ := strconv.Unquote(literal.Value)
			longest := ""
			for _, part := range verb.Split(value, -1) {
				if len(part) > len(longest) {
					longest = part
				}
			}
			if strings.Count(longest, " ") >= 3 {
				all[set.Position(literal.Pos()).String()] = strings.ReplaceAll(longest, "|", "\\|")
			}
			return true
		})
	}
	return all
}

// Nothing that only its authors understand is said to users.
func TestConditionsPageIsForUsers(t *testing.T) {
	text, _ := page()
	for _, private := range []string{"%!", "  ", "..", "nil", "0001-01-01", " ,"} {
		if strings.Contains(text, private) {
			t.Errorf("the page contains %q", private)
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		cells := strings.Split(line, " | ")
		if len(cells) == 4 && cells[2] != "–" && cells[2] != "Says" && !strings.HasPrefix(cells[2], "---") &&
			!strings.HasSuffix(strings.TrimSpace(cells[2]), ".") &&
			!strings.HasSuffix(strings.TrimSpace(cells[2]), "?") {
			t.Errorf("not a whole sentence: %s", cells[2])
		}
	}
}
