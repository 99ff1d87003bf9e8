// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// foreign are fields whose type is Kubernetes' own: they are named, not repeated.
var foreign = map[string]string{ //nolint:gosec // G101: imagePullSecrets is the name of a field.
	"spec.claimSelector":            "label selector, as `kubectl explain deployment.spec.selector`",
	"spec.mover.affinity":           "as `kubectl explain pod.spec.affinity`",
	"spec.mover.env":                "list, as `kubectl explain pod.spec.containers.env`",
	"spec.mover.imagePullSecrets":   "list, as `kubectl explain pod.spec.imagePullSecrets`",
	"spec.mover.podSecurityContext": "as `kubectl explain pod.spec.securityContext`",
	"spec.mover.resources":          "as `kubectl explain pod.spec.containers.resources`",
	"spec.mover.tolerations":        "list, as `kubectl explain pod.spec.tolerations`",
	"status.conditions":             "list of conditions",
}

// page is the reference while it is written.
type page struct {
	strings.Builder

	met map[string]bool // Keys of foreign that some kind has.
}

func newPage() *page { return &page{met: map[string]bool{}} }

// unused tells of an entry of foreign that no definition has any more.
func (p *page) unused() error {
	for _, path := range slices.Sorted(maps.Keys(foreign)) {
		if !p.met[path] {
			return fmt.Errorf("no definition has a field %s; remove it from the list of foreign types", path)
		}
	}
	return nil
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *page) title(all []definition) {
	p.line("<!-- Generated from manifests/crd by `go run ./hack/apidocs > docs/api.md`. Do not edit. -->")
	p.line("# API reference\n")
	p.line("Group `%s`. `kubectl explain` shows the same texts. What each field is for,", all[0].Spec.Group)
	p.line("with examples, is in the [guide](guide.md).\n")
	for _, d := range all {
		p.line("- [%s](#%s)", d.Spec.Names.Kind, strings.ToLower(d.Spec.Names.Kind))
	}
}

// kind prints every version of a kind.
func (p *page) kind(d definition) {
	for _, v := range d.Spec.Versions {
		root := v.Schema.Root
		names := append([]string{d.Spec.Names.Plural}, d.Spec.Names.ShortNames...)
		p.line("\n## %s\n", d.Spec.Names.Kind)
		p.line("`apiVersion: %s/%s`, `kubectl get %s`\n", d.Spec.Group, v.Name, strings.Join(names, "` or `kubectl get "))
		p.line("%s", prose(root.Description))
		p.columns(v)
		for _, part := range []string{"spec", "status"} {
			if s, ok := root.Properties[part]; ok {
				p.table(d.Spec.Names.Kind, part, s)
			}
		}
		p.refusals(root.Properties["spec"])
	}
}

func (p *page) columns(v version) {
	var always, wide []string
	for _, c := range v.Columns {
		text := c.Name + " (`" + strings.TrimPrefix(c.Path, ".") + "`)"
		if c.Priority > 0 {
			wide = append(wide, text)
		} else {
			always = append(always, text)
		}
	}
	if len(always) > 0 {
		p.line("\nColumns: %s.", strings.Join(always, ", "))
	}
	if len(wide) > 0 {
		p.line("With `-o wide` also: %s.", strings.Join(wide, ", "))
	}
}

// table lists every field below a part of the kind, parents before their children.
func (p *page) table(kind, part string, s schema) {
	p.line("\n### %s %s\n", kind, part)
	p.line("| Field | Type | Default | Meaning |")
	p.line("| --- | --- | --- | --- |")
	p.rows(part, s)
}

func (p *page) rows(path string, s schema) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		field, below := s.Properties[name], path+"."+name
		what := typeName(field)
		if f, ok := foreign[below]; ok {
			p.met[below] = true
			what = f
		}
		p.line(
			"| `%s` | %s | %s | %s |",
			below,
			what,
			fallback(field, slices.Contains(s.Required, name)),
			cell(meaning(field)),
		)
		if foreign[below] != "" {
			continue
		}
		p.rows(below, field)
		if field.Items != nil {
			p.rows(below+"[]", *field.Items)
		}
	}
}

// refusals lists what rules across fields say, in the order of the fields. A message names
// fields relative to its own.
func (p *page) refusals(spec schema) {
	all := messages("spec", spec)
	if len(all) == 0 {
		return
	}
	p.line("\nBeside types, lengths and enumerations the API server checks these rules, and answers with:\n")
	for _, m := range all {
		p.line("- %s", m)
	}
}
