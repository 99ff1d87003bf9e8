// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// machine is where and when something was measured.
type machine struct {
	Commit     string `json:"commit"`
	Date       string `json:"date"`
	Cores      int    `json:"cores"`
	Processor  string `json:"processor"`
	LoadBefore string `json:"loadBefore"` // Averages of 1, 5 and 15 minutes.
	LoadAfter  string `json:"loadAfter"`
}

func describe(ctx context.Context) machine {
	return machine{
		Commit: commit(ctx), Date: time.Now().UTC().Format(time.DateOnly),
		Cores: runtime.NumCPU(), Processor: processor(), LoadBefore: load(),
	}
}

// commit is what was checked out, with "+" when files of the product differ from it.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	text := strings.TrimSpace(string(out))
	changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--", ":/mover", ":/cmd", ":/go.mod").Output()
	if err != nil || len(changed) > 0 {
		text += "+"
	}
	return text
}

func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	return strings.Join(strings.Fields(string(text) + " ? ? ?")[:3], " ")
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
