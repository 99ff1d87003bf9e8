// SPDX-License-Identifier: Apache-2.0

package inside

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"text/template"

	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// driverName is the test CSI driver's.
const driverName = "csi.s3populator.test"

// pauseImage holds the process that keeps a pod's namespaces open.
const pauseImage = "docker.io/s3populator/pause:dev"

//go:embed config
var configFiles embed.FS

// values are what the files under config/ ask for.
type values struct {
	rundir.Spec
	CA, User, Token                                                      string
	NodeName, NodeAddress, PodNetwork, PodRange, ClusterDomain, S3Domain string
	CgroupRoot, ConfigDir, PauseImage, Driver                            string
}

func newValues(spec rundir.Spec) values {
	return values{
		Spec: spec, NodeName: rundir.NodeName, NodeAddress: rundir.NodeAddress, PodNetwork: rundir.PodNetwork,
		PodRange: rundir.PodRange, ClusterDomain: rundir.ClusterDomain, S3Domain: rundir.S3Domain,
		CgroupRoot: spec.Dir.CgroupRoot(), ConfigDir: spec.Dir.Config(), PauseImage: pauseImage, Driver: driverName,
	}
}

// render fills in one file of config/.
func render(name string, v values) ([]byte, error) {
	t, err := template.New(name).Option("missingkey=error").ParseFS(configFiles, "config/"+name)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, v); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// identity is a user of the API server.
type identity struct {
	name  string // of its kubeconfig
	user  string
	group string
}

// identities have the rights that the API server gives these names by itself,
// so that a component that asks for too much fails here as it would elsewhere.
var identities = []identity{
	{"admin", "admin", "system:masters"},
	{"kube-controller-manager", "system:kube-controller-manager", ""},
	{"kube-scheduler", "system:kube-scheduler", ""},
	{"kube-proxy", "system:kube-proxy", ""},
	{"kubelet", "system:node:" + rundir.NodeName, "system:nodes"},
}

// tokenOf derives a user's token from the administrator's, which stays as it is.
func tokenOf(admin, name string) string {
	if name == "admin" {
		return admin
	}
	sum := sha256.Sum256([]byte(admin + "/" + name))
	return hex.EncodeToString(sum[:])
}

// tokenFile is the API server's list of users: token, name, uid, groups.
func tokenFile(admin string) []byte {
	var out bytes.Buffer
	for _, id := range identities {
		fmt.Fprintf(&out, "%s,%s,%s,%q\n", tokenOf(admin, id.name), id.user, id.user, id.group)
	}
	return out.Bytes()
}

// kubeconfig of one user. The address holds inside the node and outside of it.
func kubeconfig(spec rundir.Spec, id identity, ca []byte) ([]byte, error) {
	v := newValues(spec)
	v.CA, v.User, v.Token = base64.StdEncoding.EncodeToString(ca), id.user, tokenOf(spec.Token, id.name)
	return render("kubeconfig", v)
}
