// SPDX-License-Identifier: Apache-2.0

// Package certs owns the certificate that the manager serves with, on its webhook and on
// its progress endpoint, and the caBundle that makes API servers trust it.
//
// By default cert-manager's own library works in the process: a DynamicAuthority keeps a
// CA in a Secret that all replicas share, and a DynamicSource signs each replica's leaf in
// memory. The library hands over to a new CA at once, which would have reviews refused until
// the API servers know it, so this package adds the order: a CA is first published, beside
// its predecessors, in the Secret and in the webhook configuration, and only then served
// from (see leafSelection and publisher). With Options.Files the certificate is somebody else's work,
// normally a real cert-manager's, and this package only reads it.
//
// It never writes an object that it was not told the name of, never weakens or skips
// verification, and never logs key material.
package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"k8s.io/client-go/rest"
)

// Default durations. A leaf is renewed when 2/3 of its life are over, a CA likewise.
const (
	DefaultCADuration   = 365 * 24 * time.Hour
	DefaultLeafDuration = 7 * 24 * time.Hour
)

// Least durations. The library looks at the CA every 10 s, so a third of a CA's life, in
// which it must be replaced, has to be longer than that; a sixth of a leaf's life is kept
// for the change to its successor, which takes settle twice.
const (
	LeastCADuration   = 45 * time.Second
	LeastLeafDuration = 6 * time.Second
)

// Options say whose certificate is served.
type Options struct {
	// Namespace of the manager, its Secret and its Service.
	Namespace string
	// SecretName is the Secret that holds the CA; made when it is missing.
	SecretName string
	// ServiceName is the Service that API servers and movers call.
	ServiceName string
	// WebhookConfiguration names the MutatingWebhookConfiguration whose caBundles we keep;
	// it may be empty, and it may appear later than we do.
	WebhookConfiguration string
	// CADuration and LeafDuration are lifetimes; zero takes the defaults.
	CADuration, LeafDuration time.Duration
	// Files, when set, are served instead; then no object is read or written.
	Files Files
	// RESTConfig reaches the API server.
	RESTConfig *rest.Config
	// Now is the clock.
	Now func() time.Time
}

// Files of a certificate that somebody else renews, such as cert-manager's in a mounted Secret.
type Files struct {
	// CertFile holds the certificate chain and KeyFile its private key, both in PEM.
	CertFile, KeyFile string
	// CAFile holds the PEM that movers are to trust.
	CAFile string
}

func (f Files) set() bool { return f != Files{} }

func (f Files) validate() error {
	if f.CertFile == "" || f.KeyFile == "" || f.CAFile == "" {
		return errors.New("option Files: set all of CertFile, KeyFile and CAFile, or none")
	}
	return nil
}

// source is one way to come by a certificate.
type source interface {
	run(ctx context.Context) error
	certificate() (*tls.Certificate, error)
	trusted() []byte
	ready() error
}

// Authority serves the current certificate. It is a Runnable of controller-runtime's
// manager; until it is started there is no certificate.
type Authority struct {
	from source
}

// New checks the options and prepares an Authority; it does no I/O.
func New(o Options) (*Authority, error) {
	if o.CADuration == 0 {
		o.CADuration = DefaultCADuration
	}
	if o.LeafDuration == 0 {
		o.LeafDuration = DefaultLeafDuration
	}
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("check certificate options: %w", err)
	}
	if o.Files.set() {
		return &Authority{from: newFiles(o.Files)}, nil
	}
	m, err := newManaged(o)
	if err != nil {
		return nil, err
	}
	return &Authority{from: m}, nil
}

func (o Options) validate() error {
	if o.Files.set() {
		return o.Files.validate()
	}
	switch {
	case o.Namespace == "":
		return errors.New("option Namespace is empty: it must be the manager's own")
	case o.SecretName == "":
		return errors.New("option SecretName is empty: name the Secret that keeps the CA")
	case o.ServiceName == "":
		return errors.New("option ServiceName is empty: name the Service that API servers call")
	case o.RESTConfig == nil || o.Now == nil:
		return errors.New("options RESTConfig and Now must be set")
	case o.LeafDuration < LeastLeafDuration:
		return fmt.Errorf("option LeafDuration is %s: it must be at least %s", o.LeafDuration, LeastLeafDuration)
	case o.CADuration < LeastCADuration || o.CADuration < 3*o.LeafDuration:
		return fmt.Errorf(
			"option CADuration is %s: it must be at least %s and three times LeafDuration (%s)",
			o.CADuration,
			LeastCADuration,
			o.LeafDuration,
		)
	}
	return nil
}

// Start works until ctx ends. It returns an error only when it cannot go on.
func (a *Authority) Start(ctx context.Context) error { return a.from.run(ctx) }

// NeedLeaderElection is false: every replica serves.
func (a *Authority) NeedLeaderElection() bool { return false }

// GetCertificate is for tls.Config.GetCertificate.
func (a *Authority) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return a.from.certificate()
}

// CABundle is the PEM that a client of any replica has to trust now: during a rotation the
// old CAs and the new one. It is empty until there is one.
func (a *Authority) CABundle() []byte { return a.from.trusted() }

// Ready tells why this replica cannot serve yet.
func (a *Authority) Ready() error { return a.from.ready() }
