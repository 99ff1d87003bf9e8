// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
)

func TestIssuedCertificateVouchesForItsNamesOnly(t *testing.T) {
	a, err := New("test")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := a.Issue(
		Names{CommonName: "s3", DNS: []string{"s3.test", "*.s3.test"}, IPs: []net.IP{net.ParseIP("10.200.0.1")}},
	)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.PEM()) {
		t.Fatal("the authority's certificate is not PEM")
	}
	for name, want := range map[string]bool{
		"s3.test": true, "bucket.s3.test": true, "10.200.0.1": true,
		"10.200.0.2": false, "other.test": false,
	} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); (err == nil) != want {
			t.Errorf("certificate good for %s = %t, want %t (%v)", name, err == nil, want, err)
		}
	}
}
