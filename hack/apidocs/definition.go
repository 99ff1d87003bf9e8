// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
)

// definition is the part of a CustomResourceDefinition that is printed.
type definition struct {
	Spec struct {
		Group string `json:"group"`
		Names struct {
			Kind       string   `json:"kind"`
			Plural     string   `json:"plural"`
			ShortNames []string `json:"shortNames"`
		} `json:"names"`
		Versions []version `json:"versions"`
	} `json:"spec"`
}

type version struct {
	Name   string `json:"name"`
	Schema struct {
		Root schema `json:"openAPIV3Schema"`
	} `json:"schema"`
	Columns []struct {
		Name     string `json:"name"`
		Path     string `json:"jsonPath"`
		Priority int    `json:"priority"`
	} `json:"additionalPrinterColumns"`
}

// schema is what an OpenAPI schema says about one field.
type schema struct {
	Description string            `json:"description"`
	Type        string            `json:"type"`
	Format      string            `json:"format"`
	Pattern     string            `json:"pattern"`
	Default     json.RawMessage   `json:"default"`
	Enum        []string          `json:"enum"`
	Required    []string          `json:"required"`
	Properties  map[string]schema `json:"properties"`
	Items       *schema           `json:"items"`
	Values      *schema           `json:"additionalProperties"`
	IntOrString bool              `json:"x-kubernetes-int-or-string"`

	Minimum   *int64 `json:"minimum"`
	Maximum   *int64 `json:"maximum"`
	MinLength *int64 `json:"minLength"`
	MaxLength *int64 `json:"maxLength"`
	MinItems  *int64 `json:"minItems"`
	MaxItems  *int64 `json:"maxItems"`

	Rules []struct {
		Message string `json:"message"`
	} `json:"x-kubernetes-validations"`
}

// rank orders kinds by who reads about them first; a kind that is not here comes last.
var rank = map[string]int{"S3Source": -2, "S3Import": -1}

func byReader(a, b definition) int {
	return cmp.Or(
		cmp.Compare(rank[a.Spec.Names.Kind], rank[b.Spec.Names.Kind]),
		cmp.Compare(a.Spec.Names.Kind, b.Spec.Names.Kind),
	)
}
