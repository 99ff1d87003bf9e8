// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	env := map[string]string{"POD_NAMESPACE": "system", "MOVER_IMAGE": "mover:v1"}
	cases := map[string]struct {
		args []string
		env  map[string]string
		want string
	}{
		"defaults are enough in a pod":    {nil, env, ""},
		"a namespace is needed":           {nil, map[string]string{"MOVER_IMAGE": "x"}, "--namespace"},
		"a mover image is needed":         {nil, map[string]string{"POD_NAMESPACE": "x"}, "--mover-image"},
		"a pull policy is checked":        {[]string{"--mover-image-pull-policy=Sometimes"}, env, "Always, IfNotPresent or Never"},
		"workers are counted from one":    {[]string{"--workers=0"}, env, "--workers"},
		"arguments are flags":             {[]string{"run"}, env, `unexpected argument "run"`},
		"own annotations may be copied":   {[]string{"--copy-annotations=example.com/a, example.com/b"}, env, ""},
		"those of Kubernetes never are":   {[]string{"--copy-annotations=volume.kubernetes.io/selected-node"}, env, "never copied"},
		"all mistakes are named together": {[]string{"--workers=0", "x"}, env, "--workers"},
		"an unknown flag is told":         {[]string{"--nope"}, env, "nope"},
		"the certificates may be files":   {[]string{"--certificate-directory=/certs"}, env, ""},
		"progress can be turned off":      {[]string{"--progress=false"}, env, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parse(c.args, func(k string) string { return c.env[k] })
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
