// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
)

// sign is a phrase that only texts of one license hold.
type sign struct {
	license string
	phrases []string
	// alone: the text mentions other licenses, which it is not.
	alone bool
}

// signs in the order in which they are looked for. White space in texts is one blank.
var signs = []sign{
	{license: "AGPL-3.0", phrases: []string{"GNU AFFERO GENERAL PUBLIC LICENSE"}, alone: true},
	{license: "LGPL", phrases: []string{"GNU LESSER GENERAL PUBLIC LICENSE"}, alone: true},
	{license: "MPL-2.0", phrases: []string{"Mozilla Public License", "2.0"}, alone: true},
	{license: "GPL", phrases: []string{"GNU GENERAL PUBLIC LICENSE"}, alone: true},
	{license: "Apache-2.0", phrases: []string{"Apache License", "Version 2.0"}},
	{license: "MIT", phrases: []string{"Permission is hereby granted, free of charge"}},
	{license: "ISC", phrases: []string{
		"Permission to use, copy, modify, and",
		"distribute this software for any purpose",
	}},
	{license: "CC0-1.0", phrases: []string{"CC0 1.0 Universal"}},
	{license: "Unlicense", phrases: []string{"free and unencumbered software released into the public domain"}},
}

// classify returns the SPDX names of the licenses in a text, none when it knows none.
func classify(text string) []string {
	text = strings.Join(strings.Fields(text), " ")
	var found []string
	for _, s := range signs {
		if !containsAll(text, s.phrases) {
			continue
		}
		if found = append(found, s.license); s.alone {
			return found
		}
	}
	if strings.Contains(text, "Redistribution and use in source and binary forms") {
		found = append(found, bsd(text))
	}
	return found
}

// bsd tells the two forms apart by their third clause.
func bsd(text string) string {
	lower := strings.ToLower(text)
	if strings.Contains(lower, "neither the name") || strings.Contains(lower, "may be used to endorse") ||
		strings.Contains(lower, "may not be used to endorse") {
		return "BSD-3-Clause"
	}
	return "BSD-2-Clause"
}

func containsAll(text string, phrases []string) bool {
	return !slices.ContainsFunc(phrases, func(p string) bool { return !strings.Contains(text, p) })
}
