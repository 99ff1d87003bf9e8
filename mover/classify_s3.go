// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"regexp"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/wire"
)

// classifyCode maps the error codes of S3 and its imitations. It returns nil
// for a code that says nothing by itself.
func (m *mover) classifyCode(code, message string) *failure {
	s := m.request.Source
	switch code {
	case minio.NoSuchBucket:
		return fail(
			wire.NoSuchBucket,
			"bucket %q does not exist at %s; correct spec.bucket, spec.endpoint or spec.region",
			s.Bucket,
			m.where(),
		)
	case minio.NoSuchKey:
		return fail(wire.SourceChanged, "an object was deleted while the volume was loaded: %s", message)
	case "InvalidBucketName":
		return fail(wire.RequestRejected, "spec.bucket %q is not a valid bucket name", s.Bucket)
	case "PermanentRedirect",
		"TemporaryRedirect",
		"AuthorizationHeaderMalformed",
		"InvalidRegion",
		"IllegalLocationConstraintException",
		"AuthorizationQueryParametersError":
		return fail(
			wire.RequestRejected,
			"bucket %q is not in the region that was asked (spec.region %q, %s): %s",
			s.Bucket,
			s.Region,
			m.where(),
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
		return fail(wire.Throttled, "S3 throttles requests or is not ready (%s); the mover tries again later, "+
			"spec.transfer.parallelism and spec.transfer.bandwidth lower the load", code)
	case "InvalidObjectState":
		return fail(
			wire.RequestRejected,
			"an object is archived and must be restored before it can be read, or left out with spec.exclude: %s",
			message,
		)
	case "RequestTimeTooSkewed":
		return fail(wire.RequestRejected, "the clocks of this node and of %s differ too much: %s", m.where(), message)
	case "InternalError", "XMinioServerNotInitialized":
		return fail(wire.EndpointUnreachable, "%s is in trouble: %s: %s", m.where(), code, message)
	}
	return m.classifyRefusal(code, message)
}

// classifyRefusal maps the error codes that speak of who asks.
func (m *mover) classifyRefusal(code, message string) *failure {
	switch code {
	case "InvalidAccessKeyId", "XAdminUserNotFound":
		return fail(wire.AccessDenied, "S3 does not know the access key of %s; correct it", m.who())
	case "SignatureDoesNotMatch":
		return fail(wire.AccessDenied, "the secret key of %s does not belong to its access key; correct it", m.who())
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired":
		return m.expired()
	case "InvalidToken", "InvalidSecurity", "InvalidClientTokenId":
		return fail(wire.AccessDenied, "the session token of %s is refused: %s", m.who(), message)
	case "AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "NotSignedUp", "UnauthorizedAccess":
		return fail(
			wire.AccessDenied,
			"S3 denies access to bucket %q with %s; allow s3:ListBucket on the bucket and s3:GetObject "+
				"on its objects",
			m.request.Source.Bucket,
			m.who(),
		)
	}
	return nil
}

// expired tells keys that only a person renews from those we renew ourselves.
func (m *mover) expired() *failure {
	if m.request.Credentials.Kind == wire.WebIdentity {
		return fail(wire.TransferFailed, "the session of %s expired; the next attempt makes a new one", m.who()).because(errExpired)
	}
	return fail(wire.CredentialsInvalid, "the session token of %s has expired; put new keys there", m.who())
}

// texts are what errors say that lost their type on the way, mostly in mc.
// The first match counts, so the specific comes before the general.
var texts = []struct {
	contains []string
	make     func(m *mover, text string) *failure
}{
	{
		[]string{"no space left on device", "disk quota exceeded"},
		func(*mover, string) *failure { return noSpaceLeft(nil) },
	},
	{[]string{"read-only file system"}, func(_ *mover, text string) *failure {
		return fail(wire.VolumeNotWritable, "the volume cannot be written: %s", text)
	}},
	{[]string{"signed by unknown authority", "not trusted"}, func(m *mover, _ string) *failure {
		return m.badCertificate("is signed by an authority that is not trusted; add its CA to spec.tls.caBundles")
	}},
	{
		[]string{
			"certificate has expired",
			"certificate is valid for",
			"doesn't contain any ip sans",
			"x509:",
			"tls: failed to verify",
		},
		func(m *mover, text string) *failure { return m.badCertificate("is refused: " + text) },
	},
	{[]string{"server gave http response to https client"}, func(m *mover, _ string) *failure {
		return fail(
			wire.RequestRejected,
			"%s is https, but the server speaks plain http there; correct the scheme or the port",
			m.where(),
		)
	}},
	{
		[]string{
			"http request to an https server",
			"http request was sent to https port",
			"http: server gave https response",
		},
		func(m *mover, _ string) *failure {
			return fail(wire.RequestRejected, "%s is http, but the server speaks https there; correct the scheme", m.where())
		},
	},
	{
		[]string{"bucket does not exist", "specified bucket does not exist"},
		func(m *mover, text string) *failure { return m.classifyCode(minio.NoSuchBucket, text) },
	},
	{
		[]string{"object does not exist", "specified key does not exist"},
		func(m *mover, text string) *failure { return m.classifyCode(minio.NoSuchKey, text) },
	},
	{
		[]string{"access key id you provided does not exist", "no user exists with the provided access key"},
		func(m *mover, text string) *failure { return m.classifyCode("InvalidAccessKeyId", text) },
	},
	{
		[]string{"signature we calculated does not match"},
		func(m *mover, text string) *failure { return m.classifyCode("SignatureDoesNotMatch", text) },
	},
	{
		[]string{"access denied", "insufficient permissions to access this path `http", "403 forbidden"},
		func(m *mover, text string) *failure { return m.classifyCode("AccessDenied", text) },
	},
	{[]string{"permission denied", "insufficient permissions"}, func(_ *mover, text string) *failure {
		return fail(wire.VolumeNotWritable, "the volume cannot be written: %s", text)
	}},
	{
		[]string{"reduce your request rate", "slow down", "too many requests", "503 "},
		func(m *mover, text string) *failure { return m.classifyCode("SlowDown", text) },
	},
	{[]string{
		"token has expired", "token is expired", "request is expired", "token expired", "expiredtoken", "expired token", "request has expired",
		"session has expired", "credentials have expired",
	}, func(m *mover, _ string) *failure { return m.expired() }},
	{[]string{"no such host"}, func(m *mover, text string) *failure { return m.notResolved(text) }},
	{
		[]string{
			"connection refused", "i/o timeout", "connection reset", "unexpected eof", "eof", "broken pipe",
			"network is unreachable", "no route to host", "timeout", "connection timed out", "connection closed by foreign host",
		},
		func(m *mover, text string) *failure {
			return fail(wire.EndpointUnreachable, "the connection to %s failed: %s", m.where(), text)
		},
	},
}

func (m *mover) classifyText(text string) *failure {
	lower := strings.ToLower(m.withoutNames(text))
	for _, t := range texts {
		for _, c := range t.contains {
			if strings.Contains(lower, c) {
				return t.make(m, text)
			}
		}
	}
	return fail(wire.TransferFailed, "the transfer failed: %s", text)
}

// quoted is what Go's %q makes, and url a link up to the next space.
var (
	quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	link   = regexp.MustCompile(`https?://\S*`)
)

// withoutNames drops from a text what a user has named: links, quoted names, paths on the
// volume. Keys are free text; one that is called "expired" or "access denied" must not decide
// what its trouble is taken for. That a name was a link is kept, because mc says so only there.
func (m *mover) withoutNames(text string) string {
	if first, last := strings.IndexByte(text, '`'), strings.LastIndexByte(text, '`'); first < last {
		kind := ""
		if strings.HasPrefix(text[first+1:], "http") {
			kind = "http"
		}
		text = text[:first] + "`" + kind + "`" + text[last+1:]
	}
	text = link.ReplaceAllString(quoted.ReplaceAllString(text, `""`), "http:")
	for _, root := range []string{m.options.Paths.Volume, mcAlias + "/" + m.request.Source.Bucket} {
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
