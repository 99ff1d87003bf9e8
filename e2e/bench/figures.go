// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// figures are what a run measured, by their key in the JSON, without the prefix of the form:
// seconds, ratios, MB (10^6 bytes), counts, and texts that tell where they were measured.
type figures map[string]any

// number is NaN where there is none.
func (f figures) number(key string) float64 {
	switch v := f[key].(type) {
	case float64:
		return v
	case int:
		return float64(v)
	}
	return math.NaN()
}

// joined are the figures of all parts of a run.
func joined(parts ...figures) figures {
	all := figures{}
	for _, f := range parts {
		maps.Copy(all, f)
	}
	return all
}

// under are the figures with keys that tell the limits they were measured with.
func (f figures) under(l limits) figures {
	out := figures{}
	for k, v := range f {
		out[l.prefix()+k] = v
	}
	return out
}

// write prints them as one line of JSON, ordered by key.
func (f figures) write(out io.Writer, prefix string) error {
	named := map[string]any{}
	for k, v := range f {
		if n, ok := v.(float64); ok {
			v = rounded(n)
		}
		named[prefix+k] = v
	}
	return json.NewEncoder(out).Encode(named) // Maps are encoded in the order of their keys.
}

// rounded to three decimals: nothing here is more exact.
func rounded(n float64) float64 { return math.Round(n*1000) / 1000 }

// span is where a figure can be at all. It is wide: an aim is no span.
type span struct{ least, most float64 }

// check fails for each figure that is missing, or that cannot be true.
func (f figures) check(want map[string]span) error {
	var errs []error
	for _, k := range slices.Sorted(maps.Keys(want)) {
		is, s := f.number(k), want[k]
		switch {
		case math.IsNaN(is):
			errs = append(errs, fmt.Errorf("figure %s is missing", k))
		case is < s.least || is > s.most:
			errs = append(errs, fmt.Errorf("figure %s is %v, which is not between %v and %v", k, is, s.least, s.most))
		}
	}
	return errors.Join(errs...)
}
