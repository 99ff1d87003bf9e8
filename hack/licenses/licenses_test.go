// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestClassify(t *testing.T) {
	own, err := os.ReadFile(filepath.Join("..", "..", "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	const mit = "Permission is hereby granted, free\nof charge, to any person"
	const two = "Redistribution and use in source and binary  forms, with or without"
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"our own":            {string(own), []string{"Apache-2.0"}},
		"broken lines":       {mit, []string{"MIT"}},
		"two clauses":        {two, []string{"BSD-2-Clause"}},
		"three clauses":      {two + " Neither the name of Google", []string{"BSD-3-Clause"}},
		"two licenses":       {mit + two, []string{"MIT", "BSD-2-Clause"}},
		"the AGPL":           {"GNU AFFERO GENERAL PUBLIC LICENSE like the GNU GENERAL PUBLIC LICENSE", []string{"AGPL-3.0"}},
		"the MPL":            {"Mozilla Public License, version 2.0 ... GNU GENERAL PUBLIC LICENSE", []string{"MPL-2.0"}},
		"terms of their own": {"You may not use this.", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := classify(test.text); !slices.Equal(got, test.want) {
				t.Errorf("classify = %v, want %v", got, test.want)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	of := func(licenses ...string) []linked {
		return []linked{{module: "example.com/m v1.0.0", licenses: map[string][]string{"LICENSE": licenses}}}
	}
	for name, test := range map[string]struct {
		p       program
		modules []linked
		want    int
	}{
		"an allowed license":            {program{}, of("MIT"), 0},
		"one that is not":               {program{}, of("AGPL-3.0"), 1},
		"one that this program may":     {program{also: []string{"AGPL-3.0"}}, of("AGPL-3.0"), 0},
		"one of two that is not":        {program{}, of("MIT", "GPL"), 1},
		"a text that nobody recognises": {program{}, of(), 1},
		"no text at all":                {program{}, []linked{{module: "example.com/m v1.0.0"}}, 1},
		"terms that were read":          {program{}, []linked{{module: "github.com/minio/filepath v1.0.0"}}, 0},
		"another version of it":         {program{}, []linked{{module: "github.com/minio/filepath v1.1.0"}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := judge(test.p, test.modules); len(got) != test.want {
				t.Errorf("found %q, want %d", got, test.want)
			}
		})
	}
}

func TestTexts(t *testing.T) {
	file := func(name, text string) map[string][]string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return map[string][]string{path: nil}
	}
	got, err := texts([]linked{
		{module: "a v1", licenses: file("LICENSE", "one\n")},
		{module: "b v1", licenses: file("COPYING", "two")},
		{module: "c v1", licenses: file("LICENSE", "one")},
	})
	line := strings.Repeat("-", 80)
	want := "a v1\nc v1\n\none\n\n" + line + "\n\nb v1\n\ntwo\n\n" + line + "\n\n"
	if err != nil || got != want {
		t.Errorf("texts = %q, %v; want %q", got, err, want)
	}
	if _, err := texts([]linked{{module: "d v1"}}); err == nil {
		t.Error("a module without a license was passed over")
	}
}
