// SPDX-License-Identifier: Apache-2.0

// Package authority makes the private certificate authorities of test servers.
// Its keys live as long as a test run; it has no revocation and no renewal.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// validity outlives any test run, also of a demo left up for a week.
const validity = 30 * 24 * time.Hour

// Authority signs serving certificates.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// Names is what a serving certificate vouches for.
type Names struct {
	CommonName string
	DNS        []string
	IPs        []net.IP
}

// New makes an authority.
func New(commonName string) (*Authority, error) {
	cert, err := template(Names{CommonName: commonName})
	if err != nil {
		return nil, err
	}
	cert.IsCA, cert.BasicConstraintsValid = true, true
	cert.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of %s: %w", commonName, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", commonName, err)
	}
	return &Authority{cert: cert, key: key, pem: encode("CERTIFICATE", der)}, nil
}

// PEM is the authority's certificate, which clients trust.
func (a *Authority) PEM() []byte { return a.pem }

// Issue signs a serving certificate with a new key.
func (a *Authority) Issue(names Names) (certPEM, keyPEM []byte, err error) {
	leaf, err := template(names)
	if err != nil {
		return nil, nil, err
	}
	leaf.KeyUsage, leaf.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the key of %s: %w", names.CommonName, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign %s: %w", names.CommonName, err)
	}
	keyPEM, err = KeyPEM(key)
	return encode("CERTIFICATE", der), keyPEM, err
}

// KeyPEM encodes a private key as PKCS #8.
func KeyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return encode("PRIVATE KEY", der), nil
}

// PublicPEM encodes a public key.
func PublicPEM(key *ecdsa.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return encode("PUBLIC KEY", der), nil
}

// template is a certificate valid from an hour ago, for machines whose clocks
// differ a little.
func template(names Names) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names.CommonName},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(validity),
		DNSNames: names.DNS, IPAddresses: names.IPs,
	}, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
