// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// noon is when the pure tests happen.
var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

// newCA makes a CA that is valid from noon+made for life.
func newCA(t *testing.T, commonName string, made, life time.Duration) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: commonName}, BasicConstraintsValid: true, IsCA: true,
		NotBefore: noon.Add(made), NotAfter: noon.Add(made + life), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOverlapKeepsWhatAReplicaMayStillServeFrom(t *testing.T) {
	const keep, year = time.Hour, 365 * 24 * time.Hour
	cas := map[string]*x509.Certificate{
		"new":      newCA(t, caName, -time.Minute, year),
		"newer":    newCA(t, caName, -time.Second, year),
		"recent":   newCA(t, caName, -2*time.Hour, year),
		"old":      newCA(t, caName, -3*time.Hour, year),
		"expired":  newCA(t, caName, -2*time.Hour, time.Hour),
		"expiring": newCA(t, caName, -2*time.Hour, 2*time.Hour+time.Second),
	}
	tests := map[string]struct {
		current string
		known   []string
		want    []string
	}{
		"the first CA stands alone": {current: "new", want: []string{"new"}},
		"a predecessor stays while its leaves may live": {
			current: "new",
			known:   []string{"recent"},
			want:    []string{"new", "recent"},
		},
		"a predecessor goes when its successor is old enough": {
			current: "new",
			known:   []string{"recent", "old"},
			want:    []string{"new", "recent"},
		},
		"an expired CA goes": {
			current: "new",
			known:   []string{"expired"},
			want:    []string{"new"},
		},
		"a CA stays up to its last second": {
			current: "new",
			known:   []string{"expiring"},
			want:    []string{"new", "expiring"},
		},
		"duplicates are one": {
			current: "new",
			known:   []string{"new", "new", "recent", "recent"},
			want:    []string{"new", "recent"},
		},
		"order of knowledge does not matter": {
			current: "recent",
			known:   []string{"new"},
			want:    []string{"new", "recent"},
		},
		"a newer CA that another replica has published is not lost": {
			current: "new",
			known:   []string{"newer", "recent"},
			want:    []string{"newer", "new", "recent"},
		},
		"a restored old CA is current although its successors exist": {
			current: "old",
			known:   []string{"recent", "new"},
			want:    []string{"new", "recent", "old"},
		},
		"an expired CA that still signs is published": {current: "expired", want: []string{"expired"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var known bundle
			for _, k := range tt.known {
				known = append(known, cas[k])
			}
			var got []string
			for _, c := range overlap(cas[tt.current], known, noon, keep) {
				for name, ca := range cas {
					if ca.Equal(c) {
						got = append(got, name)
					}
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("bundle (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOverlapIsBounded(t *testing.T) {
	var known bundle
	for i := range 3 * mostCAs {
		known = append(known, newCA(t, caName, -time.Duration(i+1)*time.Second, time.Hour))
	}
	current := newCA(t, caName, -50*time.Minute, time.Hour)
	got := overlap(current, known, noon, time.Hour)
	if len(got) != mostCAs+1 || !got[len(got)-1].Equal(current) {
		t.Errorf(
			"kept %d CAs, current last: %t; want the %d newest and the current one",
			len(got),
			got[len(got)-1].Equal(current),
			mostCAs,
		)
	}
}

func TestParseForgivesWhatPeopleLeave(t *testing.T) {
	ours, other := newCA(t, caName, 0, time.Hour), newCA(t, "another-ca", 0, time.Hour)
	key := string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("x")}))
	broken := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))
	tests := map[string]struct {
		text      string
		wantCount int
		wantOurs  int
	}{
		"nothing":       {},
		"no PEM at all": {text: "caBundle goes here"},
		"our own text":  {text: string(bundle{ours}.text()), wantCount: 1, wantOurs: 1},
		"a foreign CA":  {text: string(bundle{other, ours}.text()), wantCount: 2, wantOurs: 1},
		"remarks between blocks": {
			text:      "# by hand\n" + string(bundle{ours}.text()) + "\n\n# end",
			wantCount: 1,
			wantOurs:  1,
		},
		"a key and a broken one": {text: key + broken + string(bundle{ours}.text()), wantCount: 1, wantOurs: 1},
		"cut off in the middle":  {text: strings.TrimSuffix(string(bundle{ours}.text()), "-----\n")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := parse([]byte(tt.text))
			if len(got) != tt.wantCount || len(got.authorities()) != tt.wantOurs {
				t.Errorf("parsed %d, ours %d; want %d and %d", len(got), len(got.authorities()), tt.wantCount, tt.wantOurs)
			}
		})
	}
}
