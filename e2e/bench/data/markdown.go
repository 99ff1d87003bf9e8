// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"
)

// Between these lines the document is ours; what people write around them stays.
const (
	beginMark = "<!-- make bench-data writes from here -->"
	endMark   = "<!-- make bench-data writes until here -->"
)

// updateDocument replaces what is between the marks.
func updateDocument(path, text string) error {
	document, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(document), beginMark)
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q", path, beginMark, endMark)
	}
	return os.WriteFile(path, []byte(before+beginMark+"\n\n"+text+"\n"+endMark+after), 0o644)
}

// markdown is a table for each set, the aims, and what was fetched twice.
func markdown(results []*result, resumes *resumption) string {
	var b strings.Builder
	for _, s := range sets {
		memory, disk := find(results, s.name, onMemory), find(results, s.name, onDisk)
		if memory != nil {
			table(&b, s, memory, disk)
		}
	}
	if resumes != nil {
		resumes.table(&b)
	}
	aimsTable(&b, results, resumes)
	return b.String()
}

func find(results []*result, set, target string) *result {
	for _, r := range results {
		if r.Set == set && r.Target == target {
			return r
		}
	}
	return nil
}

func table(b *strings.Builder, s set, memory, disk *result) {
	ours := memory.ours()
	fmt.Fprintf(b, "### %s\n\n%s\n\n", s.title, provenance(memory, disk))
	fmt.Fprintln(b, "| | seconds, tmpfs | CPU seconds | MB | ours : this, seconds | ours : this, CPU | seconds, disk |")
	fmt.Fprintln(b, "|---|---|---|---|---|---|---|")
	for _, row := range memory.Rows {
		if row.Absent != "" {
			fmt.Fprintf(b, "| %s | absent | | | | | |\n", row.Tool)
			continue
		}
		name, times, processor := row.Tool, "", ""
		if row.Tool == ours {
			name = "**" + name + "**"
		} else {
			times, processor = cell(memory.ratios(wall, row.Tool)), cell(memory.ratios(cpu, row.Tool))
		}
		onDisk := ""
		if disk != nil && len(disk.runs(row.Tool)) > 0 {
			onDisk = cell(disk.values(row.Tool, wall))
		}
		fmt.Fprintf(b, "| %s | %s | %s | %.0f | %s | %s | %s |\n",
			name, cell(memory.values(row.Tool, wall)), cell(memory.values(row.Tool, cpu)),
			spreadOf(memory.values(row.Tool, rss)).most, times, processor, onDisk)
	}
	fmt.Fprintln(b)
}

// cell is "median (least-most)".
func cell(values []float64) string {
	s := spreadOf(values)
	return fmt.Sprintf("%.2f (%.2f-%.2f)", s.median, s.least, s.most)
}

func provenance(memory, disk *result) string {
	text := fmt.Sprintf("%s: %s", onMemory, memory.Machine.sentence(rounds(memory)))
	if disk != nil {
		text += fmt.Sprintf(" %s: %s", onDisk, disk.Machine.sentence(rounds(disk)))
	}
	return text
}

func rounds(r *result) (n int) {
	for _, row := range r.Rows {
		n = max(n, len(row.Runs))
	}
	return n
}

func (m machine) sentence(rounds int) string {
	return fmt.Sprintf("commit %s, %s, %d cores (%s), %d rounds, load %s before and %s after.",
		m.Commit, m.Date, m.Cores, m.Processor, rounds, m.LoadBefore, m.LoadAfter)
}
