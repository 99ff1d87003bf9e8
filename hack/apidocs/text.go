// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// typeName says what a field holds in the words of YAML.
func typeName(s schema) string {
	switch {
	case s.IntOrString:
		return "integer or string"
	case s.Format == "date-time":
		return "time"
	case s.Type == "array" && s.Items != nil:
		return "list of " + typeName(*s.Items)
	case s.Type == "object" && s.Values != nil:
		return "map of " + typeName(*s.Values)
	}
	return s.Type
}

// fallback is the default, or that there is none because the field must be given.
func fallback(s schema, required bool) string {
	switch {
	case required:
		return "required"
	case len(s.Default) == 0, string(s.Default) == "{}":
		return ""
	}
	return "`" + strings.Trim(string(s.Default), `"`) + "`"
}

// meaning is the description and what else the schema asks for.
func meaning(s schema) string {
	parts := []string{prose(s.Description)}
	if len(s.Enum) > 0 {
		parts = append(parts, "One of `"+strings.Join(s.Enum, "`, `")+"`.")
	}
	parts = append(
		parts,
		bounds("", s.Minimum, s.Maximum),
		bounds("characters", s.MinLength, s.MaxLength),
		bounds("entries", s.MinItems, s.MaxItems),
	)
	if s.Pattern != "" {
		parts = append(parts, "Matches `"+s.Pattern+"`.")
	}
	if s.Items != nil && s.Items.Type != "object" {
		parts = append(parts, bounds("characters each", s.Items.MinLength, s.Items.MaxLength))
	}
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), " ")
}

// bounds words a range; a lower one of nothing or of one character says nothing.
func bounds(unit string, low, high *int64) string {
	var text string
	switch {
	case high == nil && low == nil:
		return ""
	case high == nil:
		text = fmt.Sprintf("At least %d", *low)
	case low == nil || *low <= 1 && unit != "":
		text = fmt.Sprintf("At most %d", *high)
	default:
		text = fmt.Sprintf("%d to %d", *low, *high)
	}
	if unit != "" {
		text += " " + unit
	}
	return text + "."
}

// prose joins the lines of a Go comment.
func prose(s string) string { return strings.Join(strings.Fields(s), " ") }

// cell makes a text fit into a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// messages are those of a field's own rules, then those below it, each with its field.
func messages(path string, s schema) []string {
	var all []string
	for _, r := range s.Rules {
		all = append(all, "`"+path+"`: "+prose(r.Message))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		all = append(all, messages(path+"."+name, s.Properties[name])...)
	}
	if s.Items != nil {
		all = append(all, messages(path+"[]", *s.Items)...)
	}
	return all
}
