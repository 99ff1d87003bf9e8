// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"errors"
	"regexp"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/wire"
)

// Code maps the error codes of S3 and its imitations. It returns nil
// for a code that says nothing by itself.
func (c Classifier) Code(code, message string) *Failure {
	s := c.Source
	switch code {
	case minio.NoSuchBucket:
		return New(
			wire.NoSuchBucket,
			"bucket %q does not exist at %s; correct spec.bucket, spec.endpoint or spec.region",
			s.Bucket,
			c.Where(),
		)
	case minio.NoSuchKey:
		return New(wire.SourceChanged, "an object was deleted while the volume was loaded: %s", message)
	case "InvalidBucketName":
		return New(wire.RequestRejected, "spec.bucket %q is not a valid bucket name", s.Bucket)
	case "PermanentRedirect",
		"TemporaryRedirect",
		"AuthorizationHeaderMalformed",
		"InvalidRegion",
		"IllegalLocationConstraintException",
		"AuthorizationQueryParametersError":
		return New(
			wire.RequestRejected,
			"bucket %q is not in the region that was asked (spec.region %q, %s): %s",
			s.Bucket,
			s.Region,
			c.Where(),
			message,
		)
	case "SlowDown",
		"SlowDownRead",
		"SlowDownWrite",
		"Throttling",
		"ThrottlingException",
		"TooManyRequests",
		"RequestLimitExceeded",
		"RequestThrottled",
		"ServiceUnavailable",
		"Busy":
		return New(wire.Throttled, "S3 throttles requests or is not ready (%s); the mover tries again later, "+
			"spec.transfer.parallelism and spec.transfer.bandwidth lower the load", code)
	case "InvalidObjectState":
		return New(
			wire.RequestRejected,
			"an object is archived and must be restored before it can be read, or left out with spec.exclude: %s",
			message,
		)
	case "RequestTimeTooSkewed":
		return New(wire.ClockSkewed,
			"the clocks of this node and of %s differ too much; set them by NTP: %s", c.Where(), message)
	case "InternalError", "XMinioServerNotInitialized":
		return New(wire.EndpointUnreachable, "%s is in trouble: %s: %s", c.Where(), code, message)
	}
	return c.classifyRefusal(code, message)
}

// classifyRefusal maps the error codes that speak of who asks.
func (c Classifier) classifyRefusal(code, message string) *Failure {
	switch code {
	case "InvalidAccessKeyId", "XAdminUserNotFound":
		return New(wire.AccessDenied, "S3 does not know the access key of %s; correct it", c.who())
	case "SignatureDoesNotMatch":
		return New(wire.AccessDenied, "the secret key of %s does not belong to its access key; correct it", c.who())
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired":
		return c.expired()
	case "InvalidToken", "InvalidSecurity", "InvalidClientTokenId":
		return New(wire.AccessDenied, "the session token of %s is refused: %s", c.who(), message)
	case "AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "NotSignedUp", "UnauthorizedAccess":
		rights := "s3:ListBucket on the bucket and s3:GetObject on its objects"
		if c.Uploads {
			rights = "s3:ListBucket and s3:ListBucketMultipartUploads on the bucket, and s3:GetObject, s3:PutObject, " +
				"s3:DeleteObject, s3:ListMultipartUploadParts and s3:AbortMultipartUpload on its objects"
		}
		return New(wire.AccessDenied, "S3 denies access to bucket %q with %s; allow %s", c.Source.Bucket, c.who(), rights)
	}
	return nil
}

// expired tells keys that only a person renews from those we renew ourselves.
func (c Classifier) expired() *Failure {
	if c.Credentials.Kind == wire.WebIdentity {
		return New(wire.TransferFailed, "the session of %s expired; the next attempt makes a new one", c.who()).
			Because(ErrExpired)
	}
	return New(wire.CredentialsInvalid, "the session token of %s has expired; put new keys there", c.who())
}

// texts are what errors say that lost their type on the way, mostly in mc.
// The first match counts, so the specific comes before the general.
var texts = []struct {
	contains []string
	make     func(c Classifier, text string) *Failure
}{
	{
		[]string{"no space left on device", "disk quota exceeded"},
		func(Classifier, string) *Failure { return noSpaceLeft(nil) },
	},
	{[]string{"read-only file system"}, func(Classifier, string) *Failure { return readOnly(nil) }},
	{
		[]string{"request time and the server's time", "request time and the current time"},
		func(c Classifier, text string) *Failure { return c.Code("RequestTimeTooSkewed", text) },
	},
	{[]string{"signed by unknown authority", "not trusted"}, func(c Classifier, _ string) *Failure {
		return c.badCertificate("is signed by an authority that is not trusted; add its CA to spec.tls.caBundles")
	}},
	{
		[]string{
			"certificate has expired",
			"certificate is valid for",
			"doesn't contain any ip sans",
			"x509:",
			"tls: failed to verify",
		},
		func(c Classifier, text string) *Failure { return c.badCertificate("is refused: " + text) },
	},
	{[]string{"server gave http response to https client"}, func(c Classifier, _ string) *Failure {
		return New(
			wire.RequestRejected,
			"%s is https, but the server speaks plain http there; correct the scheme or the port",
			c.Where(),
		)
	}},
	{
		[]string{
			"http request to an https server",
			"http request was sent to https port",
			"http: server gave https response",
		},
		func(c Classifier, _ string) *Failure {
			return New(wire.RequestRejected, "%s is http, but the server speaks https there; correct the scheme", c.Where())
		},
	},
	{
		[]string{"bucket does not exist", "specified bucket does not exist"},
		func(c Classifier, text string) *Failure { return c.Code(minio.NoSuchBucket, text) },
	},
	{
		[]string{"object does not exist", "specified key does not exist"},
		func(c Classifier, text string) *Failure { return c.Code(minio.NoSuchKey, text) },
	},
	{
		[]string{"access key id you provided does not exist", "no user exists with the provided access key"},
		func(c Classifier, text string) *Failure { return c.Code("InvalidAccessKeyId", text) },
	},
	{
		[]string{"signature we calculated does not match"},
		func(c Classifier, text string) *Failure { return c.Code("SignatureDoesNotMatch", text) },
	},
	{
		[]string{"access denied", "insufficient permissions to access this path `http", "403 forbidden"},
		func(c Classifier, text string) *Failure { return c.Code("AccessDenied", text) },
	},
	{[]string{"permission denied", "insufficient permissions"}, func(_ Classifier, text string) *Failure {
		return New(wire.VolumeNotWritable, "the volume cannot be written: %s", text)
	}},
	{
		[]string{"reduce your request rate", "slow down", "too many requests", "503 "},
		func(c Classifier, text string) *Failure { return c.Code("SlowDown", text) },
	},
	{[]string{
		"token has expired", "token is expired", "request is expired", "token expired", "expiredtoken", "expired token", "request has expired",
		"session has expired", "credentials have expired",
	}, func(c Classifier, _ string) *Failure { return c.expired() }},
	{[]string{"no such host"}, func(c Classifier, text string) *Failure { return c.notResolved(text) }},
	{
		[]string{
			"connection refused", "i/o timeout", "connection reset", "unexpected eof", "eof", "broken pipe",
			"network is unreachable", "no route to host", "timeout", "connection timed out", "connection closed by foreign host",
			"server closed idle connection", // Of net/http, which gives it no type.
		},
		func(c Classifier, text string) *Failure {
			return New(wire.EndpointUnreachable, "the connection to %s failed: %s", c.Where(), text)
		},
	},
}

func (c Classifier) classifyText(text string) *Failure {
	lower := strings.ToLower(c.withoutNames(text))
	for _, t := range texts {
		for _, part := range t.contains {
			if strings.Contains(lower, part) {
				return t.make(c, text)
			}
		}
	}
	return New(wire.TransferFailed, "the transfer failed: %s", text)
}

// quoted is what Go's %q makes, and url a link up to the next space.
var (
	quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	link   = regexp.MustCompile(`https?://\S*`)
)

// withoutNames drops from a text what a user has named: links, quoted names, paths on the
// volume. Keys are free text; one that is called "expired" or "access denied" must not decide
// what its trouble is taken for. That a name was a link is kept, because mc says so only there.
func (c Classifier) withoutNames(text string) string {
	if first, last := strings.IndexByte(text, '`'), strings.LastIndexByte(text, '`'); first < last {
		kind := ""
		if strings.HasPrefix(text[first+1:], "http") {
			kind = "http"
		}
		text = text[:first] + "`" + kind + "`" + text[last+1:]
	}
	text = link.ReplaceAllString(quoted.ReplaceAllString(text, `""`), "http:")
	for _, root := range c.Roots {
		before, name, found := strings.Cut(text, root+"/")
		if !found || root == "" {
			continue
		}
		// The system's words come last, after a colon: "open PATH: permission denied".
		words := ""
		if at := strings.LastIndex(name, ": "); at >= 0 {
			words = name[at:]
		}
		text = before + words
	}
	return text
}

// Rejected tells whether S3 answered with this HTTP status.
func Rejected(err error, status int) bool {
	var response minio.ErrorResponse
	return errors.As(err, &response) && response.StatusCode == status
}
