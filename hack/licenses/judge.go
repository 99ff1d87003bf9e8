// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// allowed are the licenses of what every image may hold: they ask for a notice and no more.
var allowed = []string{"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "CC0-1.0", "Unlicense"}

// read are modules whose terms a person has read, with what was found: the program cannot tell.
var read = map[string]string{
	"github.com/juju/ratelimit v1.0.2": "LGPL-3.0 with an exception for linking, in mc only, which is AGPL-3.0 as a " +
		"whole",
	"github.com/minio/colorjson v1.0.8": "the license of Go, BSD-3-Clause, which each of its files names",
	"github.com/minio/filepath v1.0.0":  "the license of Go, BSD-3-Clause, which each of its files names",
}

// judge returns what is wrong with the modules of a program: one that has no license that is
// known here, or one that is not allowed.
func judge(p program, modules []linked) []string {
	var wrong []string
	for _, m := range modules {
		if read[m.module] != "" {
			continue
		}
		known := 0
		for _, path := range slices.Sorted(maps.Keys(m.licenses)) {
			for _, license := range m.licenses[path] {
				known++
				if !slices.Contains(allowed, license) && !slices.Contains(p.also, license) {
					wrong = append(wrong, fmt.Sprintf("%s links %s, whose license %s is %s", p.name, m.module, path, license))
				}
			}
		}
		if known == 0 {
			wrong = append(wrong, fmt.Sprintf("%s links %s, whose license is not known: %v",
				p.name, m.module, slices.Sorted(maps.Keys(m.licenses))))
		}
	}
	return wrong
}

// summary counts the modules of a program by license.
func summary(p program, modules []linked) string {
	count := map[string]int{}
	for _, m := range modules {
		names := map[string]bool{}
		for _, licenses := range m.licenses {
			for _, license := range licenses {
				names[license] = true
			}
		}
		if read[m.module] != "" {
			names = map[string]bool{"read by a person": true}
		}
		count[strings.Join(slices.Sorted(maps.Keys(names)), " and ")]++
	}
	parts := make([]string, 0, len(count))
	for _, license := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%d %s", count[license], license))
	}
	return fmt.Sprintf("%s: %d modules: %s", p.name, len(modules), strings.Join(parts, ", "))
}
