// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/wire"
)

// errExpired marks a session that ended while it was used; new credentials help.
var errExpired = errors.New("the session expired")

// ErrTerminated is the cause of a context that a signal ended.
var ErrTerminated = errors.New("the mover was told to stop")

// classify turns any error of an attempt into a failure: a reason the manager
// knows and a sentence that names the field to change. It is pure.
func (m *mover) classify(err error) *failure {
	var f *failure
	var response minio.ErrorResponse
	var said *mcError
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, ErrTerminated), errors.Is(err, context.Canceled):
		return interrupted().because(err)
	case errors.Is(err, errStalled):
		return fail(wire.EndpointUnreachable, "%v while reading from %s; the network or S3 hangs", err, m.where()).because(err)
	case errors.As(err, &response):
		return m.classifyResponse(response).because(err)
	case errors.As(err, &said):
		return m.classifySaid(said).because(err)
	}
	if f := m.classifyDisk(err); f != nil {
		return f.because(err)
	}
	if f := m.classifyTLS(err); f != nil {
		return f.because(err)
	}
	if f := m.classifyNetwork(err); f != nil {
		return f.because(err)
	}
	return m.classifyText(err.Error()).because(err)
}

func interrupted() *failure {
	return fail(
		wire.Interrupted,
		"the mover was stopped, as when its node is drained; what is verified is kept and the next "+
			"attempt goes on from there",
	)
}

// InterruptedReport is what a mover leaves when it is told to stop, before it
// has made its last checkpoint.
func InterruptedReport() wire.Report {
	f := interrupted()
	return wire.Report{Class: classOf(f.reason), Reason: f.reason, Message: f.message}
}

// where names the endpoint for a message.
func (m *mover) where() string {
	if m.request.Source.Endpoint == "" {
		return "AWS S3 (spec.endpoint is not set)"
	}
	return fmt.Sprintf("spec.endpoint %q", m.request.Source.Endpoint)
}

// who names the credentials for a message.
func (m *mover) who() string {
	c := m.request.Credentials
	switch c.Kind {
	case wire.SecretFiles:
		return fmt.Sprintf("Secret %q (spec.credentials.secretRef)", c.Name)
	case wire.WebIdentity:
		return fmt.Sprintf("ServiceAccount %q (spec.credentials.serviceAccountName)", c.Name)
	case wire.Anonymous:
	}
	return "anonymous access (spec.credentials is not set)"
}

// classifyDisk recognises what the volume may do.
func (m *mover) classifyDisk(err error) *failure {
	var pe *fs.PathError
	onDisk := errors.As(err, &pe)
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return noSpaceLeft(err)
	case errors.Is(err, unix.EROFS), onDisk && errors.Is(err, fs.ErrPermission):
		return fail(wire.VolumeNotWritable, "the volume cannot be written: %v", pathless(err))
	case errors.Is(err, unix.EIO):
		return fail(wire.TransferFailed, "the volume's device failed: %v", err)
	}
	return nil
}

// classifyTLS recognises certificates that are not trusted.
func (m *mover) classifyTLS(err error) *failure {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.As(err, &unknown):
		return m.badCertificate("is signed by an authority that is not trusted; add its CA to spec.tls.caBundles")
	case errors.As(err, &invalid):
		return m.badCertificate("is not valid (" + invalid.Error() + "); renew it on the server")
	case errors.As(err, &host):
		return m.badCertificate(
			"is for another name (" + host.Error() + "); correct the host in spec.endpoint or renew the certificate",
		)
	case errors.As(err, &verification):
		return m.badCertificate("is refused: " + verification.Err.Error())
	}
	return nil
}

func (m *mover) badCertificate(what string) *failure {
	return fail(wire.CertificateInvalid, "the certificate of %s %s", m.where(), what)
}

// classifyNetwork recognises an endpoint that cannot be reached.
func (m *mover) classifyNetwork(err error) *failure {
	var dns *net.DNSError
	var op *net.OpError
	var ue *url.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return m.notResolved(dns.Error())
	case errors.As(err, &dns):
		return fail(
			wire.EndpointUnreachable,
			"%s cannot be looked up: %v; does the cluster's DNS server answer?",
			m.where(),
			dns,
		)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ue) && ue.Timeout():
		return fail(
			wire.EndpointUnreachable,
			"%s does not answer in time; is there a NetworkPolicy or proxy between?",
			m.where(),
		)
	case errors.As(err, &op):
		return fail(wire.EndpointUnreachable, "%s cannot be reached: %v", m.where(), op)
	}
	return nil
}

// notResolved is for a host that the DNS server denies. Unlike one that does not answer, it
// is mostly misspelt, so it is not waited out.
func (m *mover) notResolved(text string) *failure {
	return fail(
		wire.EndpointNotResolved,
		"the host of %s does not exist: %s; correct spec.endpoint or create the Service",
		m.where(),
		text,
	)
}

// classifyResponse reads an answer of S3.
func (m *mover) classifyResponse(r minio.ErrorResponse) *failure {
	if f := m.classifyCode(r.Code, r.Message); f != nil {
		return f
	}
	switch r.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return m.classifyCode("AccessDenied", r.Message)
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return m.classifyCode("PermanentRedirect", r.Message)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return m.classifyCode("SlowDown", r.Message)
	}
	said := r.Message
	if r.Key != "" { // Servers repeat the key in the open.
		said = strings.ReplaceAll(said, r.Key, "KEY")
	}
	return m.classifyText(r.Code + " " + said)
}

// classifySaid reads an error that mc printed, which is a code at best.
func (m *mover) classifySaid(e *mcError) *failure {
	if f := m.classifyCode(e.code, e.cause); f != nil {
		return f
	}
	return m.classifyText(strings.TrimSpace(e.cause))
}
