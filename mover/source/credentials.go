// SPDX-License-Identifier: Apache-2.0

package source

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// Identity is a resolved set of keys. All empty means anonymous.
type Identity struct {
	AccessKey    string
	SecretKey    Secret
	SessionToken Secret
}

// Equal reports whether both are the same keys.
func (id Identity) Equal(other Identity) bool {
	return id.AccessKey == other.AccessKey && id.SecretKey.Reveal() == other.SecretKey.Reveal() &&
		id.SessionToken.Reveal() == other.SessionToken.Reveal()
}

// The spellings of a Secret's keys that are understood, in order of
// preference: ours, camel case, and the environment variables of every S3 tool.
var (
	accessKeyNames    = []string{"access_key", "accessKey", "AWS_ACCESS_KEY_ID"}
	secretKeyNames    = []string{"secret_key", "secretKey", "AWS_SECRET_ACCESS_KEY"}
	sessionTokenNames = []string{"session_token", "sessionToken", "AWS_SESSION_TOKEN"}
)

// identities resolves credentials anew whenever Get asks for them, so that a
// rotated Secret or an expired session is picked up between two runs of mc.
// It implements minio-go's Provider.
type identities struct {
	request wire.Request
	paths   Mounts
	getenv  func(string) string
	client  *http.Client // For the STS of the endpoint, trusted as spec.tls says.
	// platform is for AWS and the agents of a platform: spec.tls.insecureSkipVerify is about
	// the endpoint and does not cover them.
	platform *http.Client
	// endpoint of S3, which serves STS too when no platform names another.
	endpoint string
	once     sync.Once
	refused  error // Why there is no session and never will be.

	mu      sync.Mutex
	session *credentials.Credentials
	latest  Identity // What Get has returned.
	got     bool     // Get has returned something.
	renewed bool     // The keys changed since the round began.
	told    []Secret // All that Get has ever returned.
	// looked is when the keys were looked at that requests of our own are signed with; zero means
	// never, or that they have expired. Mounted is what the directory of the Secret said then.
	looked  time.Time
	mounted time.Time
}

// Get returns the keys of this moment.
func (s *identities) Get(ctx context.Context) (Identity, error) {
	id, err := s.resolve(ctx)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.note(id)
	}
	return id, err
}

func (s *identities) resolve(ctx context.Context) (Identity, error) {
	switch s.request.Credentials.Kind {
	case wire.Anonymous, "":
		return Identity{}, nil
	case wire.SecretFiles:
		return s.fromFiles()
	case wire.WebIdentity:
		return s.fromSession(ctx)
	}
	return Identity{}, fault.New(wire.MoverBroken, "unknown kind of credentials %q", s.request.Credentials.Kind)
}

func (s *identities) fromFiles() (Identity, error) {
	present, err := secretFiles(s.paths.Credentials)
	if err != nil {
		return Identity{}, err
	}
	keys := s.request.Credentials.Keys
	access, secretKey := firstOf(
		present,
		namesOf(keys.AccessKey, accessKeyNames),
	), firstOf(
		present,
		namesOf(keys.SecretKey, secretKeyNames),
	)
	if access == "" || secretKey == "" {
		return Identity{}, s.missing(present)
	}
	if strings.ContainsAny(access, " \t\r\n") {
		return Identity{}, fault.New(wire.CredentialsInvalid,
			"the access key in Secret %q (spec.credentials.secretRef) contains white space; was it encoded twice?",
			s.request.Credentials.Name)
	}
	return Identity{
		AccessKey:    access,
		SecretKey:    newSecret(secretKey),
		SessionToken: newSecret(firstOf(present, namesOf(keys.SessionToken, sessionTokenNames))),
	}, nil
}

// missing tells a Secret that does not exist from one with other keys in it.
func (s *identities) missing(present map[string]string) error {
	name := s.request.Credentials.Name
	if len(present) == 0 {
		return fault.New(wire.CredentialsMissing, "Secret %q (spec.credentials.secretRef) does not exist or is empty; "+
			"create it with the keys access_key and secret_key", name)
	}
	var names []string
	for n := range present {
		names = append(names, plan.Quote(n))
	}
	slices.Sort(names)
	if k := s.request.Credentials.Keys; k.AccessKey != "" || k.SecretKey != "" {
		return fault.New(
			wire.CredentialsMissing,
			"Secret %q (spec.credentials.secretRef) has the keys %s; it needs %s and %s, and none of them "+
				"empty; correct spec.credentials.secretRef.keys or the Secret",
			name,
			strings.Join(names[:min(len(names), 10)], ", "),
			cmp.Or(k.AccessKey, accessKeyNames[0]),
			cmp.Or(k.SecretKey, secretKeyNames[0]),
		)
	}
	return fault.New(
		wire.CredentialsMissing,
		"Secret %q (spec.credentials.secretRef) has the keys %s; it needs access_key and "+
			"secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and none of them empty; other names go into spec.credentials.secretRef.keys",
		name,
		strings.Join(names[:min(len(names), 10)], ", "),
	)
}

// secretFiles reads a mounted Secret: one file per key.
func secretFiles(dir string) (map[string]string, error) {
	files, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	values := make(map[string]string, len(files))
	for _, f := range files {
		if strings.HasPrefix(f.Name(), "..") {
			continue // The kubelet's bookkeeping of a projected volume.
		}
		value, err := ReadSmall(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, fault.New(wire.CredentialsInvalid,
				"key %s of the Secret cannot be read: %v", plan.Quote(f.Name()), err).Because(err)
		}
		values[f.Name()] = value
	}
	return values, nil
}

// ReadSmall reads a token or a key without the newline that editors add.
func ReadSmall(path string) (string, error) {
	b, err := os.ReadFile(path) // #nosec G304 -- a path of ours or of the platform.
	if err != nil {
		return "", fmt.Errorf("read %s: %w", filepath.Base(path), fault.Pathless(err))
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// namesOf is the one name that a source gives, or the usual ones.
func namesOf(own string, usual []string) []string {
	if own != "" {
		return []string{own}
	}
	return usual
}

func firstOf(values map[string]string, names []string) string {
	for _, n := range names {
		if v := values[n]; v != "" {
			return v
		}
	}
	return ""
}

// RetrieveWithCredContext makes minio-go sign with the keys of this moment.
func (s *identities) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	mounted := s.mountedAt()
	id, err := s.Get(cc.Context)
	if err != nil {
		return credentials.Value{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked, s.mounted = time.Now(), mounted //nolint:forbidigo // Only ever subtracted from.
	return id.value(), nil
}

// Retrieve is the older half of minio-go's interface.
func (s *identities) Retrieve() (credentials.Value, error) {
	return credentials.Value{}, fault.New(wire.MoverBroken, "credentials were asked for without a context")
}

// keysFor is how long requests are signed with the same keys without another look at the files:
// minio-go holds a lock meanwhile, and a mover sends thousands of requests per second.
const keysFor = time.Second

// IsExpired makes minio-go ask again. The kubelet renames what it has renewed into the directory,
// which is seen at once: S3 may refuse the old keys from then on.
func (s *identities) IsExpired() bool {
	mounted := s.mountedAt()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looked.IsZero() || time.Since(s.looked) >= keysFor || !mounted.Equal(s.mounted)
}

// mountedAt is when a name was last changed in the directory of the Secret; zero where there is none.
func (s *identities) mountedAt() time.Time {
	info, err := os.Stat(s.paths.Credentials)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// Expire is told that S3 takes the keys with this access key for expired. The next request looks
// for others.
func (s *identities) Expire(accessKey string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if accessKey != s.latest.AccessKey {
		return // Others have come meanwhile.
	}
	s.looked = time.Time{}
	if s.session != nil {
		s.session.Expire()
	}
}

func (id Identity) value() credentials.Value {
	if id.AccessKey == "" {
		return credentials.Value{SignerType: credentials.SignatureAnonymous}
	}
	return credentials.Value{
		AccessKeyID:     id.AccessKey,
		SecretAccessKey: id.SecretKey.Reveal(),
		SessionToken:    id.SessionToken.Reveal(),
		SignerType:      credentials.SignatureV4,
	}
}
