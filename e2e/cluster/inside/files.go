// SPDX-License-Identifier: Apache-2.0

package inside

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/s3populator/s3populator/e2e/cluster/authority"
	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// resolvConf makes programs inside, not only pods, find Services by name.
const resolvConf = "nameserver " + rundir.NodeAddress + "\nsearch default.svc." + rundir.ClusterDomain + " svc." +
	rundir.ClusterDomain + " " + rundir.ClusterDomain + "\n"

// systemConfigs are files with fixed places, written into the private /etc.
var systemConfigs = map[string]string{
	"containerd.toml":  "/etc/containerd/config.toml",
	"10-node.conflist": "/etc/cni/net.d/10-node.conflist",
}

// componentConfigs are rendered into the run directory.
var componentConfigs = []string{"kubelet.yaml", "kube-proxy.yaml", "Corefile"}

// writeFiles puts every configuration file in its place.
func writeFiles(spec rundir.Spec) error {
	ca, err := writePKI(spec.Dir)
	if err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	files := map[string][]byte{
		filepath.Join(spec.Dir.PKI(), "tokens.csv"): tokenFile(spec.Token),
		"/etc/resolv.conf":                          []byte(resolvConf),
	}
	for name, path := range systemConfigs {
		if files[path], err = render(name, newValues(spec)); err != nil {
			return err
		}
	}
	for _, name := range componentConfigs {
		if files[filepath.Join(spec.Dir.Config(), name)], err = render(name, newValues(spec)); err != nil {
			return err
		}
	}
	for _, id := range identities {
		if files[kubeconfigOf(spec.Dir, id.name)], err = kubeconfig(spec, id, ca); err != nil {
			return err
		}
	}
	files[spec.Dir.Kubeconfig()] = files[kubeconfigOf(spec.Dir, "admin")]
	return writeAll(files)
}

func kubeconfigOf(dir rundir.Dir, name string) string {
	return filepath.Join(dir.Config(), name+".kubeconfig")
}

// writeAll replaces files, also one that is a link out of the private tree. The
// configurations hold tokens, so only root may read them.
func writeAll(files map[string][]byte) error {
	for path, content := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("write %s: %w", path, err)
		}
		mode := os.FileMode(0o600)
		if path == "/etc/resolv.conf" {
			mode = 0o644
		}
		if err := os.WriteFile(path, content, mode); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}

// writePKI makes the cluster's authority, the API server's serving certificate
// and the key that signs service account tokens.
func writePKI(dir rundir.Dir) (ca []byte, err error) {
	a, err := authority.New("s3populator test cluster")
	if err != nil {
		return nil, err
	}
	cert, key, err := a.Issue(authority.Names{
		CommonName: "kube-apiserver",
		IPs:        []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(rundir.NodeAddress), net.ParseIP(rundir.ServiceAddress)},
		DNS: []string{
			"localhost",
			"kubernetes",
			"kubernetes.default",
			"kubernetes.default.svc",
			"kubernetes.default.svc." + rundir.ClusterDomain,
		},
	})
	if err != nil {
		return nil, err
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	signerPEM, err := authority.KeyPEM(signer)
	if err != nil {
		return nil, err
	}
	verifierPEM, err := authority.PublicPEM(&signer.PublicKey)
	if err != nil {
		return nil, err
	}
	return a.PEM(), writeAll(map[string][]byte{
		filepath.Join(dir.PKI(), "ca.crt"): a.PEM(), filepath.Join(dir.PKI(), "apiserver.crt"): cert,
		filepath.Join(dir.PKI(), "apiserver.key"): key, filepath.Join(dir.PKI(), "service-accounts.key"): signerPEM,
		filepath.Join(dir.PKI(), "service-accounts.pub"): verifierPEM,
	})
}
