// SPDX-License-Identifier: Apache-2.0

package fault

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

// ErrExpired marks a session that ended while it was used; new credentials help.
var ErrExpired = errors.New("the session expired")

// ErrDiffers means that a file's bytes are not those of its object, although
// the object is still the one that was listed.
var ErrDiffers = errors.New("the file on the volume differs from the object")

// ErrTerminated is the cause of a context that a signal ended.
var ErrTerminated = errors.New("the mover was told to stop")

// ErrStalled means that nothing was transferred for too long.
var ErrStalled = errors.New("no byte was transferred")

// Classifier turns errors into failures. It is told what messages name.
type Classifier struct {
	Source      wire.Source
	Credentials wire.Credentials
	// Uploads means that objects are written, not read.
	Uploads bool
	// roots are directories below which names are a user's, not the system's.
	Roots []string
}

// Classify turns any error of an attempt into a failure: a reason the manager
// knows and a sentence that names the field to change. It is pure.
func (c Classifier) Classify(err error) *Failure {
	var f *Failure
	var response minio.ErrorResponse
	var printed *PrintedError
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, ErrTerminated), errors.Is(err, context.Canceled):
		return interrupted().Because(err)
	case errors.Is(err, ErrStalled):
		return New(wire.EndpointUnreachable, "%v while reading from %s; the network or S3 hangs", err, c.Where()).Because(err)
	case errors.As(err, &response):
		return c.classifyResponse(response).Because(err)
	case errors.As(err, &printed):
		return c.classifySaid(printed).Because(err)
	}
	if f := c.classifyDisk(err); f != nil {
		return f.Because(err)
	}
	if f := c.classifyTLS(err); f != nil {
		return f.Because(err)
	}
	if f := c.classifyNetwork(err); f != nil {
		return f.Because(err)
	}
	return c.classifyText(err.Error()).Because(err)
}

func interrupted() *Failure {
	return New(
		wire.Interrupted,
		"the mover was stopped, as when its node is drained; what is verified is kept and the next "+
			"attempt goes on from there",
	)
}

// InterruptedReport is what a mover leaves when it is told to stop, before it
// has made its last checkpoint.
func InterruptedReport() wire.Report {
	f := interrupted()
	return wire.Report{Class: ClassOf(f.Reason), Reason: f.Reason, Message: f.Message}
}

// Where names the endpoint for a message.
func (c Classifier) Where() string {
	if c.Source.Endpoint == "" {
		return "AWS S3 (spec.endpoint is not set)"
	}
	return fmt.Sprintf("spec.endpoint %q", c.Source.Endpoint)
}

// who names the credentials for a message.
func (c Classifier) who() string {
	switch c.Credentials.Kind {
	case wire.SecretFiles:
		return fmt.Sprintf("Secret %q (spec.credentials.secretRef)", c.Credentials.Name)
	case wire.WebIdentity:
		return fmt.Sprintf("ServiceAccount %q (spec.credentials.serviceAccountName)", c.Credentials.Name)
	case wire.Anonymous:
	}
	return "anonymous access (spec.credentials is not set)"
}

// classifyDisk recognises what the volume may do.
func (c Classifier) classifyDisk(err error) *Failure {
	var pe *fs.PathError
	onDisk := errors.As(err, &pe)
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return noSpaceLeft(err)
	case errors.Is(err, unix.EROFS):
		return readOnly(err)
	case onDisk && errors.Is(err, fs.ErrPermission):
		return New(wire.VolumeNotWritable, "the volume cannot be written: %v", Pathless(err))
	case errors.Is(err, unix.EIO):
		return New(wire.TransferFailed, "the volume's device failed: %v", err)
	}
	return nil
}

// classifyTLS recognises certificates that are not trusted.
func (c Classifier) classifyTLS(err error) *Failure {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.As(err, &unknown):
		return c.badCertificate("is signed by an authority that is not trusted; add its CA to spec.tls.caBundles")
	case errors.As(err, &invalid):
		return c.badCertificate("is not valid (" + invalid.Error() + "); renew it on the server")
	case errors.As(err, &host):
		return c.badCertificate(
			"is for another name (" + host.Error() + "); correct the host in spec.endpoint or renew the certificate",
		)
	case errors.As(err, &verification):
		return c.badCertificate("is refused: " + verification.Err.Error())
	}
	return nil
}

func (c Classifier) badCertificate(what string) *Failure {
	return New(wire.CertificateInvalid, "the certificate of %s %s", c.Where(), what)
}

// classifyNetwork recognises an endpoint that cannot be reached.
func (c Classifier) classifyNetwork(err error) *Failure {
	var dns *net.DNSError
	var op *net.OpError
	var ue *url.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return c.notResolved(dns.Error())
	case errors.As(err, &dns):
		return New(
			wire.EndpointUnreachable,
			"%s cannot be looked up: %v; does the cluster's DNS server answer?",
			c.Where(),
			dns,
		)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ue) && ue.Timeout():
		return New(
			wire.EndpointUnreachable,
			"%s does not answer in time; is there a NetworkPolicy or proxy between?",
			c.Where(),
		)
	case errors.As(err, &op):
		return New(wire.EndpointUnreachable, "%s cannot be reached: %v", c.Where(), op)
	}
	return nil
}

// notResolved is for a host that the DNS server denies. Unlike one that does not answer, it
// is mostly misspelt, so it is not waited out.
func (c Classifier) notResolved(text string) *Failure {
	return New(
		wire.EndpointNotResolved,
		"the host of %s does not exist: %s; correct spec.endpoint or create the Service",
		c.Where(),
		text,
	)
}

// classifyResponse reads an answer of S3.
func (c Classifier) classifyResponse(r minio.ErrorResponse) *Failure {
	if f := c.Code(r.Code, r.Message); f != nil {
		return f
	}
	switch r.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return c.Code("AccessDenied", r.Message)
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return c.Code("PermanentRedirect", r.Message)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return c.Code("SlowDown", r.Message)
	}
	said := r.Message
	if r.Key != "" { // Servers repeat the key in the open.
		said = strings.ReplaceAll(said, r.Key, "KEY")
	}
	return c.classifyText(r.Code + " " + said)
}

// classifySaid reads an error that mc printed, which is a code at best.
func (c Classifier) classifySaid(e *PrintedError) *Failure {
	if f := c.Code(e.Code, e.Cause); f != nil {
		return f
	}
	return c.classifyText(strings.TrimSpace(e.Cause))
}

// PrintedError is an error that another program printed.
type PrintedError struct {
	Message string // What it was about to do.
	Cause   string // What it was told.
	Code    string // The S3 error code, when S3 answered.
}

func (e *PrintedError) Error() string {
	return fmt.Sprintf("mc: %s %s", e.Message, e.Cause)
}
