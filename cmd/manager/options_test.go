// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/s3populator/s3populator/internal/moverpod"
)

func TestParse(t *testing.T) {
	env := map[string]string{"POD_NAMESPACE": "system", "MOVER_IMAGE": "mover:v1"}
	cases := map[string]struct {
		args []string
		env  map[string]string
		want string
	}{
		"defaults are enough in a pod": {nil, env, ""},
		"a namespace is needed":        {nil, map[string]string{"MOVER_IMAGE": "x"}, "--namespace"},
		"a mover image is needed":      {nil, map[string]string{"POD_NAMESPACE": "x"}, "--mover-image"},
		"a pull policy is checked": {
			[]string{"--mover-image-pull-policy=Sometimes"},
			env,
			"Always, IfNotPresent or Never",
		},
		"workers are counted from one":  {[]string{"--workers=0"}, env, "--workers"},
		"a cap is not negative":         {[]string{"--max-movers-per-endpoint=-1"}, env, "--max-movers-per-endpoint"},
		"zero is no cap":                {[]string{"--max-movers=0"}, env, ""},
		"arguments are flags":           {[]string{"run"}, env, `unexpected argument "run"`},
		"own annotations may be copied": {[]string{"--copy-annotations=example.com/a, example.com/b"}, env, ""},
		"those of Kubernetes never are": {
			[]string{"--copy-annotations=volume.kubernetes.io/selected-node"},
			env,
			"never copied",
		},
		"defaults of movers are JSON": {[]string{`--mover-defaults={"imagePullSecrets":[{"name":"pull"}]}`}, env, ""},
		"of the form of spec.mover": {
			[]string{`--mover-defaults={"pullSecrets":[]}`},
			env,
			"--mover-defaults: json: unknown field",
		},
		"and of no more": {
			[]string{`--mover-defaults={} {}`},
			env,
			"--mover-defaults: there is something behind",
		},
		"and hold no credentials": {
			[]string{`--mover-defaults={"env":[{"name":"AWS_SECRET_ACCESS_KEY","value":"x"}]}`},
			env,
			"AWS_SECRET_ACCESS_KEY would be read",
		},
		"a bundle is a file": {[]string{"--mover-ca-bundle=/does/not/exist"}, env, "--mover-ca-bundle"},
		"a bundle is PEM": {
			[]string{"--mover-ca-bundle=options_test.go"},
			env,
			"holds no certificate in PEM",
		},
		"a user is a number":              {[]string{"--mover-run-as-user=root"}, env, "--mover-run-as-user"},
		"or the platform's":               {[]string{"--mover-run-as-user=0"}, env, ""},
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

// On OpenShift a fixed user is refused, elsewhere no user means a volume that cannot be written.
func TestRunAs(t *testing.T) {
	groups := &metav1.APIGroupList{Groups: []metav1.APIGroup{{Name: "apps"}}}
	if got := runAs(groups); got != moverpod.NonRoot {
		t.Errorf("movers run as %d, want %d", got, moverpod.NonRoot)
	}
	groups.Groups = append(groups.Groups, metav1.APIGroup{Name: "security.openshift.io"})
	if got := runAs(groups); got != 0 {
		t.Errorf("on OpenShift movers run as %d, want what it assigns", got)
	}
}

// Two managers at once would be two writers. Unless somebody turns it off, one of them leads.
func TestLeaderElection(t *testing.T) {
	env := map[string]string{"POD_NAMESPACE": "system", "MOVER_IMAGE": "mover:v1"}
	for argument, want := range map[string]bool{
		"--leader-elect=true": true, "--leader-elect=false": false, "--verbose": true,
	} {
		o, err := parse([]string{argument}, func(name string) string { return env[name] })
		if err != nil {
			t.Fatal(err)
		}
		m := managerOptions(&o, runtime.NewScheme(), server{})
		if m.LeaderElection != want || m.LeaderElectionNamespace != "system" || m.LeaderElectionID != leaderElectionID {
			t.Errorf("%s: election %v of %s/%s", argument, m.LeaderElection, m.LeaderElectionNamespace, m.LeaderElectionID)
		}
	}
}
