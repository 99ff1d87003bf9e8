// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"strings"
)

// storyCommand runs stories on a real node.
const storyCommand = "hack/test.sh"

// killer is a command that runs the tests which have to notice a mutation.
type killer struct {
	// command without -run and its value, for example: go test ./populator/protocol
	command []string
	// tests is the value of -run.
	tests string
}

func (k killer) story() bool { return k.command[0] == storyCommand }

// program is the command without -run and its value.
func (k killer) program() string { return strings.Join(k.command, " ") }

// dir is the package whose tests are named, from the top of the repository.
func (k killer) dir() string {
	if k.story() {
		return map[string]string{"e2e": "e2e", "chart": "e2e/chart"}[k.command[1]]
	}
	return strings.TrimPrefix(k.command[2], "./")
}

// String is the command as a shell takes it.
func (k killer) String() string {
	return k.program() + " -run '" + k.tests + "'"
}

// parseKiller takes `go test ./PACKAGE -run TESTS` and `hack/test.sh e2e|chart -run TESTS`.
// Nothing else is run, because a patch file is no place for a program.
func parseKiller(text string) (killer, error) {
	words := strings.Fields(strings.ReplaceAll(text, "'", ""))
	if len(words) == 5 && words[3] == "-run" && words[0] == "go" && words[1] == "test" &&
		strings.HasPrefix(words[2], "./") {
		return newKiller(words[:3], words[4])
	}
	if len(words) == 4 && words[2] == "-run" && words[0] == storyCommand && (words[1] == "e2e" || words[1] == "chart") {
		return newKiller(words[:2], words[3])
	}
	return killer{}, fmt.Errorf("%q is neither `go test ./PACKAGE -run TESTS` nor `%s e2e|chart -run TESTS`",
		strings.TrimSpace(text), storyCommand)
}

func newKiller(command []string, tests string) (killer, error) {
	for name := range strings.SplitSeq(tests, "|") {
		if _, err := regexp.Compile(name); err != nil || !strings.HasPrefix(name, "Test") {
			return killer{}, fmt.Errorf("-run %s does not name tests", tests)
		}
	}
	return killer{command, tests}, nil
}

// top are the patterns of the test functions, without those of their subtests.
func (k killer) top() []*regexp.Regexp {
	var all []*regexp.Regexp
	for name := range strings.SplitSeq(k.tests, "|") {
		function, _, _ := strings.Cut(name, "/")
		all = append(all, regexp.MustCompile(function))
	}
	return all
}

// together joins killers of one command, so that it is built and run once.
func together(patches []patch) []killer {
	var order []string
	joined := map[string]killer{}
	for _, p := range patches {
		for _, k := range p.killers {
			key := k.program()
			was, known := joined[key]
			if !known {
				order = append(order, key)
				joined[key] = k
			} else if !contains(was.tests, k.tests) {
				joined[key] = killer{k.command, was.tests + "|" + k.tests}
			}
		}
	}
	all := make([]killer, 0, len(order))
	for _, key := range order {
		all = append(all, joined[key])
	}
	return all
}

// contains tells that every pattern of one list is in another.
func contains(all, some string) bool {
	for name := range strings.SplitSeq(some, "|") {
		if !strings.Contains("|"+all+"|", "|"+name+"|") {
			return false
		}
	}
	return true
}
