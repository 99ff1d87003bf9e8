// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// Variables that a platform injects into a pod with a workload identity.
const (
	envTokenFile          = "AWS_WEB_IDENTITY_TOKEN_FILE" // #nosec G101 -- the name of a variable; IRSA.
	envRoleARN            = "AWS_ROLE_ARN"
	envSTSEndpoint        = "AWS_ENDPOINT_URL_STS"
	envContainerURI       = "AWS_CONTAINER_CREDENTIALS_FULL_URI"     // EKS Pod Identity.
	envContainerTokenFile = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" // #nosec G101 -- the name of a variable.
	envRegion             = "AWS_REGION"
)

// fromSession exchanges the pod's identity for temporary keys. The session is
// kept until minio-go's expiry window before its end.
func (s *identities) fromSession(ctx context.Context) (Identity, error) {
	s.once.Do(func() {
		var provider credentials.Provider
		if provider, s.refused = s.sessionProvider(); s.refused == nil {
			s.mu.Lock()
			s.session = credentials.New(provider)
			s.mu.Unlock()
		}
	})
	if s.refused != nil {
		return Identity{}, s.refused
	}
	s.mu.Lock()
	session := s.session
	s.mu.Unlock()
	v, err := session.GetWithContext(&credentials.CredContext{Client: s.client, Context: ctx})
	if err != nil {
		return Identity{}, s.sessionFailure(err)
	}
	return Identity{
		AccessKey:    v.AccessKeyID,
		SecretKey:    newSecret(v.SecretAccessKey),
		SessionToken: newSecret(v.SessionToken),
	}, nil
}

// sessionProvider picks who exchanges the token: the platform that injected
// itself into the pod, else the S3 endpoint's own STS, as MinIO serves it.
func (s *identities) sessionProvider() (credentials.Provider, error) {
	if uri := s.getenv(envContainerURI); uri != "" && s.getenv(envTokenFile) == "" {
		return &containerProvider{uri: uri, tokenFile: s.getenv(envContainerTokenFile), client: s.platform}, nil
	}
	tokenFile, role := s.paths.IdentityToken, s.request.Credentials.RoleARN
	endpoint, client, field := s.endpoint, s.client, "spec.endpoint"
	if f := s.getenv(envTokenFile); f != "" || s.request.Source.Endpoint == "" {
		endpoint, client, field = s.awsSTS(), s.platform, "the variable "+envSTSEndpoint
		if f != "" {
			tokenFile = f
		}
		if arn := s.getenv(envRoleARN); f != "" && arn != "" && role == "" {
			role = arn
		}
	}
	if u, err := url.Parse(endpoint); err != nil || !staysPrivate(u) {
		return nil, fault.New(
			wire.CredentialsInvalid,
			"the token of ServiceAccount %q (spec.credentials.serviceAccountName) is sent over https only, "+
				"and %s is %q; use https there, or the keys of a Secret (spec.credentials.secretRef)",
			s.request.Credentials.Name,
			field,
			endpoint,
		)
	}
	return &credentials.STSWebIdentity{
		Client:      client,
		STSEndpoint: endpoint,
		RoleARN:     role,
		GetWebIDTokenExpiry: func() (*credentials.WebIdentityToken, error) {
			token, err := ReadSmall(tokenFile)
			if err != nil {
				return nil, err
			}
			return &credentials.WebIdentityToken{Token: token}, nil
		},
	}, nil
}

// staysPrivate reports whether a token that is sent there cannot be read on the way: https,
// or a process of this very pod.
func staysPrivate(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// tokenClient sends tokens. It follows no redirect: a token is for the host that was named,
// and a redirect with 307 or 308 would have it posted to another one.
func tokenClient(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: transport, CheckRedirect: func(to *http.Request, via []*http.Request) error {
		return fault.New(
			wire.CredentialsInvalid,
			"%s wants the token to be sent to %s instead, which is refused; name that host in spec.endpoint "+
				"if it is the right one",
			via[0].URL.Host,
			to.URL.Host,
		)
	}}
}

func (s *identities) awsSTS() string {
	if u := s.getenv(envSTSEndpoint); u != "" {
		return u
	}
	region := s.getenv(envRegion)
	if region == "" {
		region = s.request.Source.Region
	}
	if region == "" {
		return "https://sts.amazonaws.com"
	}
	u := url.URL{Scheme: "https", Host: "sts." + region + ".amazonaws.com"}
	if len(region) > 3 && region[:3] == "cn-" {
		u.Host += ".cn"
	}
	return u.String()
}

// sessionFailure keeps network errors for classify and makes everything that
// an STS said a refusal of this identity.
func (s *identities) sessionFailure(err error) error {
	if refused, ok := errors.AsType[credentials.ErrorResponse](err); ok {
		return fault.New(wire.AccessDenied,
			"the token of ServiceAccount %q (spec.credentials.serviceAccountName) was refused: %s: %s",
			s.request.Credentials.Name, refused.STSError.Code, refused.STSError.Message).Because(err)
	}
	return fmt.Errorf("exchange the token of ServiceAccount %q (spec.credentials.serviceAccountName): %w",
		s.request.Credentials.Name, err)
}

// containerProvider asks the agent of EKS Pod Identity, or another one of the
// container credentials protocol, for keys.
type containerProvider struct {
	credentials.Expiry

	uri, tokenFile string
	client         *http.Client
}

// Retrieve is the older half of minio-go's interface.
func (p *containerProvider) Retrieve() (credentials.Value, error) {
	return credentials.Value{}, fault.New(wire.MoverBroken, "credentials were asked for without a context")
}

// RetrieveWithCredContext implements minio-go's Provider.
func (p *containerProvider) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	ctx, cancel := context.WithTimeout(cc.Context, responseTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.uri, http.NoBody)
	if err != nil {
		return credentials.Value{}, fault.New(wire.CredentialsInvalid, "%s is not a URL", envContainerURI).Because(err)
	}
	if !agentHost(request.URL) {
		return credentials.Value{}, fault.New(wire.CredentialsInvalid,
			"%s names %q; only https and the loopback and link-local agents of the platform are asked for credentials",
			envContainerURI, request.URL.Host)
	}
	if p.tokenFile != "" {
		token, err := ReadSmall(p.tokenFile)
		if err != nil {
			return credentials.Value{}, err
		}
		request.Header.Set("Authorization", token)
	}
	return p.ask(request)
}

func (p *containerProvider) ask(request *http.Request) (credentials.Value, error) {
	response, err := p.client.Do(request)
	if err != nil {
		return credentials.Value{}, fmt.Errorf("ask for container credentials: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	var keys struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		Expiration      time.Time
	}
	body := io.LimitReader(response.Body, 64<<10) // Keys are well under 4 KiB.
	if response.StatusCode != http.StatusOK {
		return credentials.Value{}, fault.New(
			wire.AccessDenied,
			"the credentials agent of the platform answered %s",
			response.Status,
		)
	}
	if err := json.NewDecoder(body).Decode(&keys); err != nil {
		return credentials.Value{}, fmt.Errorf("read container credentials: %w", err)
	}
	p.SetExpiration(keys.Expiration, credentials.DefaultExpiryWindow)
	return credentials.Value{
		AccessKeyID:     keys.AccessKeyID,
		SecretAccessKey: keys.SecretAccessKey,
		SessionToken:    keys.Token,
	}, nil
}

// agentHost reports whether a token may be sent there in the clear.
func agentHost(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" ||
		ip != nil && (ip.IsLoopback() || ip.IsLinkLocalUnicast() || u.Hostname() == "fd00:ec2::23")
}
