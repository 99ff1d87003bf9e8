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
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/wire"
)

func TestClassify(t *testing.T) {
	s3 := func(code string, status int) error {
		return fmt.Errorf("list objects: %w", minio.ErrorResponse{Code: code, StatusCode: status, Message: "as S3 put it"})
	}
	said := func(cause string) error { return &PrintedError{Message: "Failed to copy `x`.", Cause: cause} }
	dial := func(err error) error {
		return &url.Error{Op: "Get", URL: "https://s3", Err: &net.OpError{Op: "dial", Net: "tcp", Err: err}}
	}
	for name, tt := range map[string]struct {
		err       error
		want      wire.Reason
		wantClass wire.Class
		wantText  string // Names what to change.
	}{
		"an unknown access key": {
			s3("InvalidAccessKeyId", 403), wire.AccessDenied, wire.User, `Secret "creds" (spec.credentials.secretRef)`,
		},
		"a wrong secret key": {
			s3("SignatureDoesNotMatch", 403), wire.AccessDenied, wire.User, "secret key",
		},
		"no permission":                {s3("AccessDenied", 403), wire.AccessDenied, wire.User, "s3:GetObject"},
		"a forbidden HEAD has no code": {s3("403 Forbidden", 403), wire.AccessDenied, wire.User, "s3:ListBucket"},
		"an expired session token in a Secret": {
			s3("ExpiredToken", 400), wire.CredentialsInvalid, wire.User, "spec.credentials.secretRef",
		},
		"a missing bucket":         {s3("NoSuchBucket", 404), wire.NoSuchBucket, wire.User, "spec.bucket"},
		"an object that went away": {s3("NoSuchKey", 404), wire.SourceChanged, wire.Retry, "deleted"},
		"an impossible bucket name": {
			s3("InvalidBucketName", 400), wire.RequestRejected, wire.User, "spec.bucket",
		},
		"another region, by redirect": {
			s3("PermanentRedirect", 301), wire.RequestRejected, wire.User, "spec.region",
		},
		"another region, by signature": {
			s3("AuthorizationHeaderMalformed", 400), wire.RequestRejected, wire.User, "spec.region",
		},
		"a redirect without a code": {
			s3("301 Moved Permanently", 301), wire.RequestRejected, wire.User, "spec.region",
		},
		"an archived object": {
			s3("InvalidObjectState", 403), wire.RequestRejected, wire.User, "restored",
		},
		"throttling": {
			s3("SlowDown", 503), wire.Throttled, wire.RetryUncounted, "spec.transfer.parallelism",
		},
		"a busy server without a code": {
			s3("503 Service Unavailable", 503), wire.Throttled, wire.RetryUncounted, "throttles",
		},
		"a server error": {
			s3("InternalError", 500), wire.EndpointUnreachable, wire.RetryUncounted, "trouble",
		},
		"clocks that differ": {
			s3("RequestTimeTooSkewed", 403), wire.ClockSkewed, wire.Retry, "clocks",
		},
		"a name that does not resolve": {
			dial(&net.DNSError{Err: "no such host", Name: "s3", IsNotFound: true}), wire.EndpointNotResolved, wire.Retry,
			"spec.endpoint",
		},
		"a DNS server that is silent": {
			dial(&net.DNSError{Err: "i/o timeout", Name: "s3", IsTimeout: true}), wire.EndpointUnreachable, wire.RetryUncounted,
			"DNS",
		},
		"mc: a name that does not resolve": {
			said("dial tcp: lookup s3 on 10.96.0.10:53: no such host"), wire.EndpointNotResolved, wire.Retry, "spec.endpoint",
		},
		"a refused connection": {
			dial(unix.ECONNREFUSED), wire.EndpointUnreachable, wire.RetryUncounted, "connection refused",
		},
		"a reset connection": {
			dial(unix.ECONNRESET), wire.EndpointUnreachable, wire.RetryUncounted, "connection reset",
		},
		"no answer in time": {
			&url.Error{Op: "Get", Err: context.DeadlineExceeded}, wire.EndpointUnreachable, wire.RetryUncounted, "NetworkPolicy",
		},
		"an unknown authority": {
			&url.Error{Err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}}, wire.CertificateInvalid,
			wire.User, "spec.tls.caBundles",
		},
		"an expired certificate": {
			&url.Error{Err: x509.CertificateInvalidError{Reason: x509.Expired}}, wire.CertificateInvalid, wire.User, "expired",
		},
		"a certificate of another host": {
			&url.Error{Err: x509.HostnameError{Host: "s3", Certificate: &x509.Certificate{DNSNames: []string{"other"}}}},
			wire.CertificateInvalid, wire.User, "other",
		},
		"https spoken to an http server": {
			&url.Error{Err: errors.New("http: server gave HTTP response to HTTPS client")}, wire.RequestRejected, wire.User,
			"scheme",
		},
		"http spoken to an https server": {
			s3("400 Bad Request", 400), wire.TransferFailed, wire.Retry, "as S3 put it",
		},
		"http spoken to a Go https server": {
			minio.ErrorResponse{StatusCode: 400, Message: "Client sent an HTTP request to an HTTPS server."},
			wire.RequestRejected, wire.User, "scheme",
		},
		"a full volume": {
			&fs.PathError{Op: "write", Path: "x", Err: unix.ENOSPC}, wire.VolumeTooSmall, wire.User,
			"spec.resources.requests.storage",
		},
		"a quota": {
			fmt.Errorf("sync: %w", unix.EDQUOT), wire.VolumeTooSmall, wire.User, "spec.resources.requests.storage",
		},
		"a read-only volume": {
			&fs.PathError{Op: "open", Path: "x", Err: unix.EROFS}, wire.VolumeReadOnly, wire.Retry, "read-only",
		},
		"a volume that became read-only, when it is opened": {
			NotWritable(&fs.PathError{Op: "open", Path: "x", Err: unix.EROFS}), wire.VolumeReadOnly, wire.Retry, "read-only",
		},
		"mc: a read-only volume": {
			said("open /volume/x: read-only file system"), wire.VolumeReadOnly, wire.Retry, "read-only",
		},
		"mc: clocks that differ": {
			said("The difference between the request time and the server's time is too large."), wire.ClockSkewed, wire.Retry,
			"clocks",
		},
		"a volume of somebody else": {
			&fs.PathError{Op: "open", Path: "x", Err: unix.EACCES}, wire.VolumeNotWritable, wire.User, "permission denied",
		},
		"a broken device": {
			fmt.Errorf("sync: %w", unix.EIO), wire.TransferFailed, wire.Retry, "device failed",
		},
		"a signal": {
			fmt.Errorf("list objects: %w", ErrTerminated), wire.Interrupted, wire.Retry, "next attempt",
		},
		"a stall": {
			fmt.Errorf("%w for 2m", ErrStalled), wire.EndpointUnreachable, wire.RetryUncounted, "hangs",
		},
		"mc: a full volume": {
			said("write /volume/x: no space left on device"), wire.VolumeTooSmall, wire.User, "spec.resources.requests.storage",
		},
		"mc: a denied object": {said("Access Denied."), wire.AccessDenied, wire.User, "s3:GetObject"},
		"mc: a denied object, as mc wraps it": {
			said("Insufficient permissions to access this path `http://s3/b/k`"), wire.AccessDenied, wire.User,
			"s3:GetObject",
		},
		"mc: a denied file": {
			said("open /volume/x: permission denied"), wire.VolumeNotWritable, wire.User, "cannot be written",
		},
		"mc: an unknown authority": {
			said("tls: failed to verify certificate: x509: certificate signed by unknown authority"), wire.CertificateInvalid,
			wire.User, "spec.tls.caBundles",
		},
		"mc: an object that went away": {
			said("Object does not exist"), wire.SourceChanged, wire.Retry, "deleted",
		},
		"mc: a missing bucket": {said("Bucket `b` does not exist."), wire.TransferFailed, wire.Retry, ""},
		"mc: a refused connection": {
			said("dial tcp 127.0.0.1:1: connect: connection refused"), wire.EndpointUnreachable, wire.RetryUncounted,
			"spec.endpoint",
		},
		"mc: a short body": {
			said("unexpected EOF"), wire.EndpointUnreachable, wire.RetryUncounted, "unexpected EOF",
		},
		"mc: a code": {
			&PrintedError{Code: "SlowDown", Cause: "Please reduce your request rate."}, wire.Throttled, wire.RetryUncounted,
			"parallelism",
		},
		"a kept connection that S3 closes": {
			&url.Error{
				Op: "Head", URL: "http://s3:9000/b/timetable", Err: errors.New("http: server closed idle connection"),
			}, wire.EndpointUnreachable, wire.RetryUncounted, "closed idle connection",
		},
		"a failure stays what it is, when wrapped": {
			fmt.Errorf("x: %w", New(wire.UnsafeKey, "keys")), wire.UnsafeKey, wire.User, "keys",
		},
		"anything else": {
			errors.New("the moon is in the way"), wire.TransferFailed, wire.Retry, "the moon is in the way",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := Classifier{
				Source:      wire.Source{Endpoint: "https://s3:9000", Bucket: "b"},
				Credentials: wire.Credentials{Kind: wire.SecretFiles, Name: "creds"},
			}
			got := c.Classify(tt.err)
			if got.Reason != tt.want || ClassOf(got.Reason) != tt.wantClass || !strings.Contains(got.Message, tt.wantText) {
				t.Errorf(
					"got %s (%s): %s\nwant %s (%s) with %q",
					got.Reason,
					ClassOf(got.Reason),
					got.Message,
					tt.want,
					tt.wantClass,
					tt.wantText,
				)
			}
		})
	}
}

// TestNamesDoNotSteer: whatever an object is called, its trouble is what the system says.
func TestNamesDoNotSteer(t *testing.T) {
	c := Classifier{
		Source:      wire.Source{Endpoint: "https://s3:9000", Bucket: "b"},
		Credentials: wire.Credentials{Kind: wire.SecretFiles, Name: "creds"},
		Roots:       []string{"/volume", "source/b"},
	}
	names := []string{
		"token has expired", "expired", "x509: ", "no space left on device", "403 forbidden", "503 slow down",
		"x: access denied", `quo"te: eof`,
	}
	for _, text := range texts {
		names = append(names, text.contains...)
	}
	said := func(format string) func(name string) error {
		return func(name string) error {
			return &PrintedError{Message: "Failed to copy `x`.", Cause: fmt.Sprintf(format, name)}
		}
	}
	for what, tt := range map[string]struct {
		make func(name string) error
		want wire.Reason
	}{
		"a refused connection": {
			said(`Get "https://s3:9000/b/%s": dial tcp 10.0.0.1:9000: connect: connection refused`), wire.EndpointUnreachable,
		},
		"a refused connection, by hand": {func(name string) error {
			refused := errors.New("dial tcp: connect: connection refused")
			return fmt.Errorf("%s", (&url.Error{Op: "Get", URL: "https://s3:9000/b/" + name, Err: refused}).Error())
		}, wire.EndpointUnreachable},
		"a denied file":       {said("open /volume/dir/%s: permission denied"), wire.VolumeNotWritable},
		"a file without room": {said("write /volume/dir/%s: no space left on device"), wire.VolumeTooSmall},
		"a denied object": {
			said("Insufficient permissions to access this path `https://s3:9000/b/%s`"), wire.AccessDenied,
		},
		"an object of ours": {func(name string) error {
			return fmt.Errorf("transfer %s: %w", strconv.Quote(name), errors.New("the moon is in the way"))
		}, wire.TransferFailed},
		"an answer that repeats it": {func(name string) error {
			return minio.ErrorResponse{Code: "Odd", StatusCode: 500, Key: name, Message: "The moon is in the way of " + name}
		}, wire.TransferFailed},
	} {
		for _, name := range names {
			if f := c.Classify(tt.make(name)); f.Reason != tt.want {
				t.Errorf("%s, of an object called %q: %s, want %s", what, name, f.Reason, tt.want)
			}
		}
	}
}

func TestExpiredSessionOfAServiceAccountIsRenewed(t *testing.T) {
	c := Classifier{Credentials: wire.Credentials{Kind: wire.WebIdentity, Name: "reader"}}
	f := c.Classify(minio.ErrorResponse{Code: "ExpiredToken", StatusCode: 400})
	if !errors.Is(f, ErrExpired) || ClassOf(f.Reason) != wire.Retry ||
		!strings.Contains(f.Message, `ServiceAccount "reader"`) {
		t.Errorf("got %s: %s", f.Reason, f.Message)
	}
}
