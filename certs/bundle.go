// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"
)

// mostCAs bounds a bundle when the CA is replaced much faster than its leaves, such as by
// something that keeps deleting the Secret; a normal rotation needs two.
const mostCAs = 16

// bundle is the CAs that clients trust, newest first; equal sets are equal slices, so that
// replicas that know the same write the same.
type bundle []*x509.Certificate

// parse keeps the certificates of a PEM text and drops everything else: what people leave
// in a caBundle must not stop us from correcting it.
func parse(text []byte) bundle {
	var found bundle
	for {
		var block *pem.Block
		block, text = pem.Decode(text)
		if block == nil {
			return found
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			found = append(found, c)
		}
	}
}

// authorities keeps the CAs that managed made.
func (b bundle) authorities() bundle {
	return slices.DeleteFunc(slices.Clone(b), func(c *x509.Certificate) bool {
		return !c.IsCA || c.Subject.CommonName != caName
	})
}

// text is the bundle in PEM.
func (b bundle) text() []byte {
	var out bytes.Buffer
	for _, c := range b {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return out.Bytes()
}

// keys are the subject key identifiers, by which a leaf names its CA.
func (b bundle) keys() map[string]bool {
	keys := make(map[string]bool, len(b))
	for _, c := range b {
		keys[string(c.SubjectKeyId)] = true
	}
	return keys
}

// overlap is the bundle to publish: the current CA and every known one that a replica may
// still serve a leaf of. A predecessor is kept until it expires or until keep has passed
// since its successor was made, whichever is first.
//
//	known CA                                     kept
//	the current one                              always
//	expired                                      no
//	the newest                                   yes: another replica may have seen it first
//	older, successor made less than keep ago     yes
//	older, successor made keep ago or more       no
func overlap(current *x509.Certificate, known bundle, now time.Time, keep time.Duration) bundle {
	all := append(bundle{current}, known...)
	slices.SortFunc(all, func(a, b *x509.Certificate) int {
		return cmp.Or(b.NotBefore.Compare(a.NotBefore), bytes.Compare(a.Raw, b.Raw))
	})
	all = slices.CompactFunc(all, func(a, b *x509.Certificate) bool { return a.Equal(b) })
	var kept bundle
	for i, c := range all {
		superseded := i > 0 && !now.Before(all[i-1].NotBefore.Add(keep))
		switch {
		case c.Equal(current):
			kept = append(kept, c)
		case superseded || !now.Before(c.NotAfter) || len(kept) == mostCAs:
		default:
			kept = append(kept, c)
		}
	}
	return kept
}
