// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// sts hands out numbered sessions for the token "good".
type sts struct {
	*httptest.Server

	calls  atomic.Int64
	expiry time.Duration
	role   atomic.Value
}

func startSTS(t *testing.T, expiry time.Duration) *sts {
	t.Helper()
	s := &sts{expiry: expiry}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := s.calls.Add(1)
		s.role.Store(r.FormValue("RoleArn"))
		if r.FormValue("Action") != "AssumeRoleWithWebIdentity" || r.FormValue("WebIdentityToken") != "good" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(
				w,
				`<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>`+
					`<Code>InvalidIdentityToken</Code><Message>the token is bad</Message></Error></ErrorResponse>`,
			)
			return
		}
		fmt.Fprintf(
			w,
			`<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">`+
				`<AssumeRoleWithWebIdentityResult><Credentials>`+
				`<AccessKeyId>key-%d</AccessKeyId><SecretAccessKey>secret-%d</SecretAccessKey>`+
				`<SessionToken>session-%d</SessionToken><Expiration>%s</Expiration>`+
				`</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
			n,
			n,
			n,
			time.Now().Add(s.expiry).UTC().Format(time.RFC3339),
		)
	}))
	t.Cleanup(s.Close)
	return s
}

func identitiesFor(r wire.Request, paths Mounts, env map[string]string, endpoint string) *identities {
	return &identities{
		request: r, paths: paths, client: tokenClient(nil), platform: tokenClient(nil), endpoint: endpoint,
		getenv: func(name string) string { return env[name] },
	}
}

func TestWebIdentity(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	mount(t, token, "good\n")
	bad := filepath.Join(t.TempDir(), "token")
	mount(t, bad, "bad")
	for name, tt := range map[string]struct {
		ours     string // Token file mounted by us; empty: none.
		env      func(endpoint string) map[string]string
		role     string
		endpoint string // spec.endpoint.
		wantRole string
		wantFail wire.Reason
	}{
		"the STS of the endpoint, as MinIO has it": {ours: token, endpoint: "self"},
		"with a role of ours":                      {ours: token, endpoint: "self", role: "arn:ours", wantRole: "arn:ours"},
		"injected by the platform": {
			ours: bad, endpoint: "http://unused",
			env: func(endpoint string) map[string]string {
				return map[string]string{envTokenFile: token, envRoleARN: "arn:irsa", envSTSEndpoint: endpoint}
			},
			wantRole: "arn:irsa",
		},
		"a token that is refused": {ours: bad, endpoint: "self", wantFail: wire.AccessDenied},
	} {
		t.Run(name, func(t *testing.T) {
			s := startSTS(t, time.Hour)
			env := map[string]string{}
			if tt.env != nil {
				env = tt.env(s.URL)
			}
			endpoint := tt.endpoint
			if endpoint == "self" {
				endpoint = s.URL
			}
			r := wire.Request{
				Source:      wire.Source{Endpoint: endpoint},
				Credentials: wire.Credentials{Kind: wire.WebIdentity, Name: "reader", RoleARN: tt.role},
			}
			ids := identitiesFor(r, Mounts{IdentityToken: tt.ours}, env, endpoint)
			id, err := ids.Get(t.Context())
			if tt.wantFail != "" {
				mustRefuse(t, err, tt.wantFail, `ServiceAccount "reader"`, "the token is bad")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if id.AccessKey != "key-1" || id.SecretKey.Reveal() != "secret-1" || id.SessionToken.Reveal() != "session-1" ||
				s.role.Load() != tt.wantRole {
				t.Errorf("got %s %s %s, role %v", id.AccessKey, id.SecretKey.Reveal(), id.SessionToken.Reveal(), s.role.Load())
			}
			if _, err := ids.Get(t.Context()); err != nil || s.calls.Load() != 1 {
				t.Errorf("a session that lasts was asked for %d times (%v)", s.calls.Load(), err)
			}
		})
	}
}

func TestASessionNearItsEndIsRenewed(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	mount(t, token, "good")
	s := startSTS(t, -time.Second)
	r := wire.Request{Source: wire.Source{Endpoint: s.URL}, Credentials: wire.Credentials{Kind: wire.WebIdentity}}
	ids := identitiesFor(r, Mounts{IdentityToken: token}, nil, s.URL)
	for range 2 {
		if _, err := ids.Get(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s.calls.Load() != 2 {
		t.Errorf("asked %d times, want 2", s.calls.Load())
	}
}

func TestContainerCredentials(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	mount(t, token, "agent-token")
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "agent-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(
			w,
			`{"AccessKeyId":"k","SecretAccessKey":"s","Token":"t","Expiration":%q}`,
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		)
	}))
	t.Cleanup(agent.Close)
	r := wire.Request{Credentials: wire.Credentials{Kind: wire.WebIdentity, Name: "reader"}}
	t.Run("the agent's keys", func(t *testing.T) {
		env := map[string]string{envContainerURI: agent.URL + "/v1/credentials", envContainerTokenFile: token}
		id, err := identitiesFor(r, Mounts{}, env, "").Get(t.Context())
		if err != nil || id.AccessKey != "k" || id.SecretKey.Reveal() != "s" || id.SessionToken.Reveal() != "t" {
			t.Errorf("got %v, %v", id.AccessKey, err)
		}
	})
	t.Run("an agent that refuses", func(t *testing.T) {
		env := map[string]string{envContainerURI: agent.URL}
		_, err := identitiesFor(r, Mounts{}, env, "").Get(t.Context())
		mustRefuse(t, err, wire.AccessDenied, "401")
	})
	t.Run("an agent elsewhere gets no token", func(t *testing.T) {
		env := map[string]string{envContainerURI: "http://agent.example.com/", envContainerTokenFile: token}
		_, err := identitiesFor(r, Mounts{}, env, "").Get(t.Context())
		mustRefuse(t, err, wire.CredentialsInvalid, "agent.example.com")
	})
}

func TestAWSSTS(t *testing.T) {
	for region, want := range map[string]string{
		"": "https://sts.amazonaws.com", "eu-west-1": "https://sts.eu-west-1.amazonaws.com",
		"cn-north-1": "https://sts.cn-north-1.amazonaws.com.cn",
	} {
		ids := identitiesFor(wire.Request{Source: wire.Source{Region: region}}, Mounts{}, nil, "")
		if got := ids.awsSTS(); got != want || strings.Contains(got, "..") {
			t.Errorf("region %q: %s, want %s", region, got, want)
		}
	}
}

// TestATokenStaysPrivate: it travels over https or not at all, and to no other host than the
// one that was named.
func TestATokenStaysPrivate(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	mount(t, token, "good")
	for name, tt := range map[string]struct {
		endpoint string
		env      map[string]string
		want     []string
	}{
		"an endpoint of http": {
			"http://minio.data.svc:9000", nil, []string{"spec.endpoint", "http://minio.data.svc:9000", "https"},
		},
		"an STS of http": {
			"https://s3",
			map[string]string{envTokenFile: token, envSTSEndpoint: "http://sts.example.com"},
			[]string{envSTSEndpoint, "https"},
		},
		"a link-local address":            {"http://169.254.1.1", nil, []string{"spec.endpoint"}},
		"a name that looks like this pod": {"http://localhost.example.com", nil, []string{"spec.endpoint"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := wire.Request{
				Source:      wire.Source{Endpoint: tt.endpoint},
				Credentials: wire.Credentials{Kind: wire.WebIdentity, Name: "reader"},
			}
			ids := identitiesFor(r, Mounts{IdentityToken: token}, tt.env, tt.endpoint)
			refuse := tokenClient(roundTrip(func(*http.Request) (*http.Response, error) {
				t.Error("something was sent")
				return nil, net.ErrClosed
			}))
			ids.client, ids.platform = refuse, refuse
			for range 2 { // The second answer is the first one's.
				_, err := ids.Get(t.Context())
				mustRefuse(t, err, wire.CredentialsInvalid, append(tt.want, `"reader"`)...)
			}
		})
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprintf("a redirect with %d", status), func(t *testing.T) {
			elsewhere := httptest.NewServer(
				http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }),
			)
			t.Cleanup(elsewhere.Close)
			s := httptest.NewServer(http.RedirectHandler(elsewhere.URL, status))
			t.Cleanup(s.Close)
			for how, env := range map[string]map[string]string{
				"the endpoint": nil,
				"AWS":          {envTokenFile: token, envSTSEndpoint: s.URL},
				"an agent":     {envContainerURI: s.URL, envContainerTokenFile: token},
			} {
				r := wire.Request{
					Source:      wire.Source{Endpoint: s.URL},
					Credentials: wire.Credentials{Kind: wire.WebIdentity, Name: "reader"},
				}
				_, err := identitiesFor(r, Mounts{IdentityToken: token}, env, s.URL).Get(t.Context())
				c := fault.Classifier{Source: r.Source, Credentials: r.Credentials}
				if f := c.Classify(err); f.Reason != wire.CredentialsInvalid ||
					!strings.Contains(f.Message, elsewhere.Listener.Addr().String()) {
					t.Errorf("%s: %s: %s", how, f.Reason, f.Message)
				}
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Mount writes a file as a pod finds it.
func mount(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mustRefuse(t *testing.T, err error, reason wire.Reason, texts ...string) {
	t.Helper()
	if fault.ReasonOf(err) != reason {
		t.Fatalf("error is %v (reason %q), want reason %q", err, fault.ReasonOf(err), reason)
	}
	for _, s := range texts {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("message lacks %q:\n%s", s, err)
		}
	}
}
