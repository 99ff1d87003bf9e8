// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// ticksPerSecond is the unit of /proc/PID/stat on every Linux.
const ticksPerSecond = 100

// shortLived are the processes that begin and end meanwhile: container runtimes, and the
// programs in pods.
const shortLived = "runc, shims and programs in pods"

// processorTime is how many seconds programs have taken, by their name; "" is the machine.
type processorTime map[string]float64

// processorTimeOf is what each of n claims cost while something was done.
func processorTimeOf(n int, do func() error) (processorTime, error) {
	before, err := readProcessorTime()
	if err != nil {
		return nil, err
	}
	if err := do(); err != nil {
		return nil, err
	}
	after, err := readProcessorTime()
	if err != nil {
		return nil, err
	}
	return after.since(before, n), nil
}

// readProcessorTime reads that of every process that lives, and of the machine.
func readProcessorTime() (processorTime, error) {
	all := processorTime{}
	machine, err := os.ReadFile("/proc/stat")
	if err != nil {
		return nil, fmt.Errorf("read the machine's processor time: %w", err)
	}
	first, _, _ := strings.Cut(string(machine), "\n")
	for i, text := range strings.Fields(first)[1:] {
		const idle, waits = 3, 4
		if i == idle || i == waits || i > 6 { // Guests are in the others already.
			continue
		}
		all[""] += ticks(text)
	}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // It has ended.
		}
		name, rest, ok := cutStat(string(text))
		if ok {
			const user, system = 11, 12
			all[name] += ticks(rest[user]) + ticks(rest[system])
		}
	}
	return all, nil
}

// cutStat splits one line of /proc/PID/stat: the name is in parentheses, and may have some.
func cutStat(line string) (name string, rest []string, ok bool) {
	from, to := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if from < 0 || to < from {
		return "", nil, false
	}
	rest = strings.Fields(line[to+1:])
	const least = 13
	return line[from+1 : to], rest, len(rest) >= least
}

// peakOf is the most memory, in MB, that one process of a name was resident with since it began.
func peakOf(name string) (float64, error) {
	files, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return 0, err
	}
	peak := 0.0
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil { // Else it has ended.
			peak = max(peak, peakIn(string(text), name))
		}
	}
	if peak == 0 {
		return 0, fmt.Errorf("no process is called %s", name)
	}
	return peak, nil
}

// peakIn reads /proc/PID/status: names are cut after 15 bytes there, and sizes are in KiB.
func peakIn(status, name string) float64 {
	fields := map[string]string{}
	for line := range strings.Lines(status) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			fields[key] = strings.TrimSpace(value)
		}
	}
	kib, err := strconv.ParseFloat(strings.TrimSuffix(fields["VmHWM"], " kB"), 64)
	if fields["Name"] != name || err != nil {
		return 0
	}
	return kib * 1024 / 1e6
}

func ticks(text string) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return n / ticksPerSecond
}

// since is the time between two looks, of each of n; processes that came and went are together.
func (t processorTime) since(before processorTime, n int) processorTime {
	out := processorTime{shortLived: 0}
	known := 0.0
	for name, now := range t {
		spent := now - before[name]
		switch _, lived := before[name]; {
		case name == "":
			out[""] = spent / float64(n)
		case lived && spent > 0:
			out[name] = spent / float64(n)
			known += spent
		}
	}
	out[shortLived] = max(0, out[""]-known/float64(n))
	return out
}

// compareTime prints what took the processors, where it is more than a trifle.
func compareTime(out io.Writer, floor, ours processorTime) {
	const trifle = 0.003
	all := maps.Clone(floor)
	maps.Copy(all, ours)
	delete(all, "")
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(cmp.Compare(ours[b], ours[a]), cmp.Compare(a, b))
	})
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "milliseconds of processor, each\tfloor\tours")
	for _, name := range names {
		if max(floor[name], ours[name]) >= trifle {
			fmt.Fprintf(w, "%s\t%.0f\t%.0f\n", name, 1000*floor[name], 1000*ours[name])
		}
	}
	fmt.Fprintf(w, "all of the machine\t%.0f\t%.0f\n", 1000*floor[""], 1000*ours[""])
	_ = w.Flush() // To a terminal; nothing to do about it.
}
