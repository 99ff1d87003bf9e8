// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writePair writes a self-signed serving pair with the serial number and its CA file.
func writePair(t *testing.T, names Files, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		DNSNames:     []string{"s.n.svc"},
		NotBefore:    time.Now(),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, names.CertFile, cert)
	write(t, names.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	write(t, names.CAFile, cert)
}

// write replaces a file at once, as a kubelet does.
func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition that another goroutine brings about. A machine that stands still for a while has
// neither the time nor the looks that a sound one has.
func eventually(t *testing.T, within time.Duration, what string, met func() bool) {
	t.Helper()
	const pause = 10 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for looks := int64(1); !met(); looks++ {
		if ctx.Err() != nil && looks >= int64(within/pause) {
			t.Fatalf("within %s: not %s", within, what)
		}
		<-tick.C
	}
}

func serial(a *Authority) int64 {
	c, err := a.GetCertificate(nil)
	if err != nil {
		return 0
	}
	return c.Leaf.SerialNumber.Int64()
}

func TestFilesAreReadAgainWhenTheyChange(t *testing.T) {
	dir := t.TempDir()
	names := Files{
		CertFile: filepath.Join(dir, "tls.crt"),
		KeyFile:  filepath.Join(dir, "tls.key"),
		CAFile:   filepath.Join(dir, "ca.crt"),
	}
	a, err := New(Options{Files: names})
	if err != nil {
		t.Fatal(err)
	}
	a.from.(*files).pair.UpdateInterval = 10 * time.Millisecond
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { ended <- a.Start(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Start: %v", err)
		}
	}()

	if err := a.Ready(); err == nil || !strings.Contains(err.Error(), names.CertFile) {
		t.Errorf("Ready without files: %v, want an error that names %s", err, names.CertFile)
	}
	writePair(t, names, 1)
	eventually(
		t,
		10*time.Second,
		"the first pair served",
		func() bool { return serial(a) == 1 && len(a.CABundle()) > 0 && a.Ready() == nil },
	)

	write(t, names.KeyFile, []byte("cut off"))
	write(t, names.CAFile, []byte("cut off"))
	before := a.CABundle()
	writePair(t, names, 2)
	eventually(
		t,
		10*time.Second,
		"the renewed pair served",
		func() bool { return serial(a) == 2 && !bytes.Equal(a.CABundle(), before) },
	)

	for _, name := range []string{names.CertFile, names.KeyFile, names.CAFile} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	held := a.CABundle()
	if err := a.from.(*files).readCA(); err == nil {
		t.Error("reading a missing CA file was no error")
	}
	if serial(a) != 2 || !bytes.Equal(a.CABundle(), held) {
		t.Error("removing the files changed what is served; want the last good pair and CA")
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(a.CABundle()) {
		t.Fatal("CABundle is no PEM")
	}
	c, err := a.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "s.n.svc"}); err != nil {
		t.Errorf("the served certificate is not trusted by CABundle: %v", err)
	}
}
