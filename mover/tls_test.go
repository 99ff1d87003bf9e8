// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/wire"
)

// startVersityTLS runs VersityGW with a certificate of a private CA.
func startVersityTLS(t *testing.T, notAfter time.Time, host string) (*s3server, []byte) {
	t.Helper()
	ca, cert, key := authority(t, notAfter, host)
	insecure := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	testTransport = insecure
	t.Cleanup(func() { testTransport = nil })
	return startVersity(t, "--cert", cert, "--key", key), ca
}

func TestPrivateCA(t *testing.T) {
	s, ca := startVersityTLS(t, time.Now().Add(time.Hour), "127.0.0.1")
	s.put(t, "a", []byte("over TLS"))
	other, _, _ := authority(t, time.Now().Add(time.Hour), "127.0.0.1")
	for name, tt := range map[string]struct {
		bundles    map[string]string // Files below the mounted bundles.
		count      int
		insecure   bool
		wantReason wire.Reason
		wantText   string
	}{
		"its CA in a bundle": {bundles: map[string]string{"0/ca.crt": string(ca)}, count: 1},
		"its CA in the second one": {
			bundles: map[string]string{"0/ca.crt": string(other), "1/tls.crt": string(ca)}, count: 2,
		},
		"a bundle of several": {
			bundles: map[string]string{"0/ca.crt": string(other) + string(ca), "0/..data": "x"}, count: 1,
		},
		"not verified": {insecure: true},
		"no CA":        {wantReason: wire.CertificateInvalid, wantText: "spec.tls.caBundles"},
		"another CA": {
			bundles: map[string]string{"0/ca.crt": string(other)}, count: 1, wantReason: wire.CertificateInvalid,
			wantText: "spec.tls.caBundles",
		},
		"a bundle that is none": {
			bundles: map[string]string{"0/ca.crt": "hello"}, count: 1, wantReason: wire.CertificateInvalid,
			wantText: "spec.tls.caBundles[0]",
		},
		"a bundle that is not there": {count: 1, wantReason: wire.CertificateInvalid, wantText: "spec.tls.caBundles[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, s.endpoint)
			for f, text := range tt.bundles {
				write(t, filepath.Join(b.paths.CABundles, f), text)
			}
			b.request.TLS = wire.TLS{CABundles: tt.count, InsecureSkipVerify: tt.insecure}
			r := b.run()
			if tt.wantReason == "" {
				b.mustBeDone(r)
				b.mustHold(map[string][]byte{"a": []byte("over TLS")})
				return
			}
			if r.Reason != tt.wantReason || r.Class != wire.User || !strings.Contains(r.Message, tt.wantText) {
				t.Errorf("report is %+v, want %s with %s", r, tt.wantReason, tt.wantText)
			}
		})
	}
}

func TestBadCertificates(t *testing.T) {
	for name, tt := range map[string]struct {
		notAfter time.Time
		host     string
		wantText string
	}{
		"expired":         {time.Now().Add(-time.Hour), "127.0.0.1", "expired"},
		"of another host": {time.Now().Add(time.Hour), "s3.example.com", "is for another name"},
	} {
		t.Run(name, func(t *testing.T) {
			s, ca := startVersityTLS(t, tt.notAfter, tt.host)
			b := newBench(t, s.endpoint)
			write(t, filepath.Join(b.paths.CABundles, "0/ca.crt"), string(ca))
			b.request.TLS.CABundles = 1
			if r := b.run(); r.Reason != wire.CertificateInvalid || !strings.Contains(r.Message, tt.wantText) {
				t.Errorf("report is %+v, want the certificate to be %s", r, tt.wantText)
			}
		})
	}
}

// TestInsecureSkipVerifyIsAboutTheEndpoint: the token goes to AWS only when AWS is who answers.
func TestInsecureSkipVerifyIsAboutTheEndpoint(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "good")
	impostor := httptest.NewTLSServer(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the token was sent to an impostor") }),
	)
	t.Cleanup(impostor.Close)
	impostor.Config.ErrorLog = log.New(io.Discard, "", 0)
	b := newBench(t, impostor.URL)
	b.request.Credentials = wire.Credentials{Kind: wire.WebIdentity, Name: "reader"}
	b.request.TLS.InsecureSkipVerify = true
	b.options.MC = "/nonexistent"
	b.options.Getenv = func(name string) string {
		return map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ENDPOINT_URL_STS": impostor.URL}[name]
	}
	if r := b.run(); r.Reason != wire.CertificateInvalid {
		t.Errorf("report is %+v, want %s", r, wire.CertificateInvalid)
	}
}
