// SPDX-License-Identifier: Apache-2.0

package inside

import (
	"encoding/csv"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

func testSpec() rundir.Spec {
	return rundir.Spec{
		Dir: "/tmp/run", Port: 12345, Token: "secret", BinderSyncPeriod: "1s", GCThreshold: 100,
		Binaries: map[string]string{
			"kubelet":     "/bin/kubelet",
			"csi":         "/bin/csi",
			"csi-resizer": "/bin/csi-resizer",
			"etcd":        "/bin/etcd",
		},
		Reserved: map[string]string{"memory": "1Gi"},
	}
}

func TestEveryConfigurationFileIsComplete(t *testing.T) {
	files, err := fs.ReadDir(configFiles, "config")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := render(file.Name(), newValues(testSpec()))
		if err != nil {
			t.Error(err)
			continue
		}
		if strings.Contains(string(text), "<no value>") {
			t.Errorf("%s has a hole:\n%s", file.Name(), text)
		}
		if !strings.HasSuffix(file.Name(), ".yaml") && file.Name() != "kubeconfig" &&
			!strings.HasSuffix(file.Name(), ".conflist") {
			continue
		}
		var parsed map[string]any
		if err := yaml.UnmarshalStrict(text, &parsed); err != nil {
			t.Errorf("%s does not parse: %v\n%s", file.Name(), err, text)
		}
	}
}

func TestKubeletKeepsToTheRunsOwnCgroupAndReservation(t *testing.T) {
	text, err := render("kubelet.yaml", newValues(testSpec()))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		CgroupRoot     string
		SystemReserved map[string]string
		ClusterDNS     []string
	}
	if err := yaml.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if want := testSpec().Dir.CgroupRoot(); got.CgroupRoot != want {
		t.Errorf("cgroupRoot = %q, want %q", got.CgroupRoot, want)
	}
	if got.SystemReserved["memory"] != "1Gi" || !slices.Equal(got.ClusterDNS, []string{rundir.NodeAddress}) {
		t.Errorf("systemReserved = %v, clusterDNS = %v", got.SystemReserved, got.ClusterDNS)
	}
}

func TestTokensAreOnePerUserAndTheAdministratorsIsTheGivenOne(t *testing.T) {
	rows, err := csv.NewReader(strings.NewReader(string(tokenFile("secret")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, row := range rows {
		if other, twice := seen[row[0]]; twice {
			t.Errorf("%s and %s share a token", other, row[1])
		}
		seen[row[0]] = row[1]
	}
	if seen["secret"] != "admin" || len(rows) != len(identities) {
		t.Errorf("users by token: %v", seen)
	}
}

func TestComponentsThatTakePart(t *testing.T) {
	cases := map[string]struct {
		change    func(*rundir.Spec)
		component string
		want      bool
	}{
		"one that was built":                    {func(*rundir.Spec) {}, "kubelet", true},
		"one that was not built":                {func(*rundir.Spec) {}, "coredns", false},
		"one that was left out":                 {func(s *rundir.Spec) { s.Skip = []string{"kubelet"} }, "kubelet", false},
		"a sidecar with its driver":             {func(*rundir.Spec) {}, "csi-resizer", true},
		"a sidecar whose driver was left out":   {func(s *rundir.Spec) { s.Skip = []string{"csi"} }, "csi-resizer", false},
		"a sidecar whose driver does not exist": {func(s *rundir.Spec) { delete(s.Binaries, "csi") }, "csi-resizer", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			spec := testSpec()
			c.change(&spec)
			if got := wanted(spec, c.component); got != c.want {
				t.Errorf("wanted = %t, want %t", got, c.want)
			}
		})
	}
}

func TestCallersFlagsComeLast(t *testing.T) {
	spec := testSpec()
	spec.Args = map[string][]string{"etcd": {"--log-level=debug"}}
	args := command(spec, "etcd").args
	if args[0] != "/bin/etcd" || args[len(args)-1] != "--log-level=debug" {
		t.Errorf("args = %v", args)
	}
}

func TestDirectoriesThatThePrivateTreesHide(t *testing.T) {
	got := map[string]bool{}
	for _, path := range []string{"/tmp/run", "/var/tmp/run", "/run/user/0/run", "/etc/x", "/variable"} {
		got[path] = hidden(path)
	}
	want := map[string]bool{
		"/tmp/run":        false,
		"/var/tmp/run":    true,
		"/run/user/0/run": true,
		"/etc/x":          true,
		"/variable":       false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hidden (-want +got):\n%s", diff)
	}
}
