// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"testing"
)

func TestProcessorTimeIsSharedOut(t *testing.T) {
	t.Parallel()
	before := processorTime{"": 100, "etcd": 10, "gone": 5}
	after := processorTime{"": 130, "etcd": 16, "mc": 3}
	got := after.since(before, 10)
	for name, want := range map[string]float64{"": 3, "etcd": 0.6, shortLived: 2.4} {
		if math.Abs(got[name]-want) > 1e-9 {
			t.Errorf("%q: got %v, want %v", name, got[name], want)
		}
	}
	if _, ok := got["mc"]; ok {
		t.Error("a program that is new is told apart from those that come and go")
	}
}

func TestStatOfAProcessWithAnOddName(t *testing.T) {
	t.Parallel()
	name, rest, ok := cutStat("7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0")
	if !ok || name != "a) b" || ticks(rest[11])+ticks(rest[12]) != 2 {
		t.Errorf("got %q, %v, %v", name, rest, ok)
	}
	if _, _, ok := cutStat("7 (short) S 1"); ok {
		t.Error("a line that was cut off is taken")
	}
	if all, err := readProcessorTime(); err != nil || all[""] <= 0 {
		t.Errorf("this machine has taken %v, %v", all[""], err)
	}
}

func TestOnlyAFullRunWritesFiguresOfTheFullForm(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"": "", "--pairs=2": "trial_", "--claims=10": "trial_", "--limits=default": "",
	} {
		var given []string
		if args != "" {
			given = []string{args}
		}
		c, err := parseControl(given)
		if err != nil || c.form.prefix != want {
			t.Errorf("%q: prefix %q, %v; want %q", args, c.form.prefix, err, want)
		}
	}
	for _, args := range []string{"--limits=none", "--only=floor", "--pairs=0", "rest"} {
		if _, err := parseControl([]string{args}); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
	if defaults.prefix() == "" || raised.prefix() != "" {
		t.Error("the figures of both limits have one key")
	}
}

func TestPeakMemory(t *testing.T) {
	t.Parallel()
	status := "Name:\tmanager\nVmPeak:\t  900000 kB\nVmHWM:\t   50000 kB\nVmRSS:\t   40000 kB\n"
	if got := peakIn(status, "manager"); got != 51.2 {
		t.Errorf("got %v MB, want 51.2", got)
	}
	if got := peakIn(status, "mover"); got != 0 {
		t.Errorf("another program's: got %v", got)
	}
	if _, err := peakOf("no-such-program"); err == nil {
		t.Error("a process that is not there has memory")
	}
}
