// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestSecretsAreNowhere looks at everything that others can see while a mover runs and afterwards:
// arguments and environments of all its processes, what it keeps, the log, the report, the volume.
func TestSecretsAreNowhere(t *testing.T) {
	s := startVersity(t)
	s.put(t, "a", []byte("a"))
	var seen atomic.Bool
	release := make(chan struct{})
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && keyOf(r) == "a" {
			seen.Store(true)
			<-release
		}
		return false
	})
	b := newBench(t, p.URL)
	done := make(chan wire.Report, 1)
	go func() { done <- b.run() }()
	waitFor(t, time.Minute, "the object is asked for", seen.Load)
	if isNative() {
		mustHoldNoSecret(t, b.paths.Scratch)
	} else {
		mustHideFromOthers(t, b)
	}
	mustHoldNoSecret(t, b.paths.Volume)
	close(release)
	r := b.mustBeDone(<-done)
	mustHoldNoSecret(t, b.paths.Volume)
	mustNotMention(t, "log", b.log.String())
	mustNotMention(t, "report", string(r.Encode()))
}

// mustHideFromOthers is about mc, which is told the keys by a file that only it may read.
func mustHideFromOthers(t *testing.T, b *bench) {
	t.Helper()
	processes := mcProcesses(t, b)
	if len(processes) == 0 {
		t.Fatal("no mc is running")
	}
	for _, file := range processes {
		for _, name := range []string{"cmdline", "environ"} {
			text, err := os.ReadFile(filepath.Join(file, name))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), testSecretKey) || strings.Contains(string(text), testAccessKey) {
				t.Errorf("%s of mc has the credentials in it: %q", name, text)
			}
		}
	}
	info, err := os.Stat(filepath.Join(b.paths.Scratch, "mc/config.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mc's configuration: %v (%v), want mode 0600", info, err)
	}
}

func mustHoldNoSecret(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		mustNotMention(t, path, string(text))
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // The journal goes when all is done.
		t.Error(err)
	}
}

func mcProcesses(t *testing.T, b *bench) []string {
	t.Helper()
	var found []string
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		if exe, _ := os.Readlink(p + "/exe"); exe == b.options.MC {
			if cwd, _ := os.Readlink(p + "/cwd"); cwd == b.paths.Scratch {
				found = append(found, p)
			}
		}
	}
	return found
}

func mustNotMention(t *testing.T, what, text string) {
	t.Helper()
	if strings.Contains(text, testSecretKey) {
		t.Errorf("the %s has the secret key in it:\n%s", what, text)
	}
}

func TestWrongCredentials(t *testing.T) {
	s := startVersity(t)
	s.put(t, "a", []byte("a"))
	for name, tt := range map[string]struct {
		keys       map[string]string
		kind       wire.CredentialKind
		want       wire.Reason
		wantInText []string
	}{
		"a wrong secret key": {
			map[string]string{"access_key": testAccessKey, "secret_key": "wrong-" + testSecretKey},
			"", wire.AccessDenied,
			[]string{"secret key", `Secret "s3-creds"`},
		},
		"a wrong access key": {
			map[string]string{"access_key": "nobody", "secret_key": testSecretKey},
			"", wire.AccessDenied,
			[]string{`Secret "s3-creds"`},
		},
		"no Secret": {
			map[string]string{},
			"", wire.CredentialsMissing,
			[]string{`Secret "s3-creds"`, "does not exist", "access_key and secret_key"},
		},
		"a Secret of another": {
			map[string]string{"username": "x", "password": "y"},
			"", wire.CredentialsMissing,
			[]string{`"password", "username"`, "AWS_ACCESS_KEY_ID"},
		},
		"an empty key": {
			map[string]string{"access_key": testAccessKey, "secret_key": "\n"},
			"", wire.CredentialsMissing,
			[]string{"none of them empty"},
		},
		"a mangled key": {
			map[string]string{"access_key": "two words", "secret_key": "x"},
			"", wire.CredentialsInvalid,
			[]string{"white space"},
		},
		"anonymous": {
			map[string]string{}, wire.Anonymous, wire.AccessDenied, []string{"anonymous access", "spec.credentials"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, s.endpoint)
			if err := os.RemoveAll(b.paths.Credentials); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(b.paths.Credentials, 0o755); err != nil {
				t.Fatal(err)
			}
			b.secret(tt.keys)
			if tt.kind != "" {
				b.request.Credentials = wire.Credentials{Kind: tt.kind}
			}
			r := b.run()
			if r.Reason != tt.want || r.Class != fault.ClassOf(tt.want) {
				t.Fatalf("report is %+v, want %s", r, tt.want)
			}
			for _, text := range tt.wantInText {
				if !strings.Contains(r.Message, text) {
					t.Errorf("message lacks %q: %s", text, r.Message)
				}
			}
			mustNotMention(t, "report", r.Message)
			mustNotMention(t, "log", b.log.String())
		})
	}
}

func TestSpellingsOfASecret(t *testing.T) {
	s := startVersity(t)
	s.put(t, "a", []byte("a"))
	for name, keys := range map[string]map[string]string{
		"ours":          {"access_key": testAccessKey, "secret_key": testSecretKey},
		"camel case":    {"accessKey": testAccessKey, "secretKey": testSecretKey + "\n", "unrelated": "x"},
		"AWS variables": {"AWS_ACCESS_KEY_ID": testAccessKey + "\r\n", "AWS_SECRET_ACCESS_KEY": testSecretKey},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, s.endpoint)
			if err := os.RemoveAll(b.paths.Credentials); err != nil {
				t.Fatal(err)
			}
			b.secret(keys)
			// The kubelet mounts a Secret by way of links.
			write(t, filepath.Join(b.paths.Credentials, "..data_tmp"), "ignored")
			b.mustBeDone(b.run())
			b.mustHold(map[string][]byte{"a": []byte("a")})
		})
	}
}

func TestMissingBucketAndObjects(t *testing.T) {
	s := startVersity(t)
	s.put(t, "present", []byte("a"))
	for name, tt := range map[string]struct {
		change   func(*wire.Request)
		want     wire.Reason
		wantText string
	}{
		"a missing bucket": {func(r *wire.Request) { r.Source.Bucket = "nowhere" }, wire.NoSuchBucket, `"nowhere"`},
		"a bucket for named objects": {
			func(r *wire.Request) { r.Source.Bucket, r.Source.Objects = "nowhere", []wire.Object{{Key: "a"}} },
			wire.NoSuchBucket, `"nowhere"`,
		},
		"missing objects are named": {func(r *wire.Request) {
			r.Source.Objects = []wire.Object{{Key: "present"}, {Key: "gone"}, {Key: "lost"}}
		}, wire.NoSuchObject, `"gone", "lost" (2 missing)`},
		"an empty prefix": {func(r *wire.Request) { r.Source.Prefix = "nothing" }, wire.SourceEmpty, `"nothing/"`},
		"a prefix that is a key": {
			func(r *wire.Request) { r.Source.Prefix = "present" }, wire.SourceEmpty, "spec.objects",
		},
		"filters that leave nothing": {
			func(r *wire.Request) { r.Source.Include = []string{"*.none"} }, wire.SourceEmpty, "spec.include",
		},
		"an endpoint with a path": {
			func(r *wire.Request) { r.Source.Endpoint += "/minio" }, wire.RequestRejected, "spec.endpoint",
		},
		"a scheme that is not http": {
			func(r *wire.Request) { r.Source.Endpoint = "s3://host" }, wire.RequestRejected, "spec.endpoint",
		},
		"https where there is none": {
			func(r *wire.Request) { r.Source.Endpoint = strings.Replace(r.Source.Endpoint, "http:", "https:", 1) },
			wire.RequestRejected, "scheme",
		},
		"a glob that is none": {
			func(r *wire.Request) { r.Source.Include = []string{"[x"} }, wire.MoverBroken, "spec.include",
		},
		"a target that escapes": {
			func(r *wire.Request) { r.Volume.TargetPath = "../x" }, wire.MoverBroken, "spec.targetPath",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, s.endpoint)
			tt.change(&b.request)
			r := b.run()
			if r.Reason != tt.want || r.Class != fault.ClassOf(tt.want) || !strings.Contains(r.Message, tt.wantText) {
				t.Errorf("report is %+v, want %s with %s", r, tt.want, tt.wantText)
			}
		})
	}
}

// authority makes a private CA and a certificate for 127.0.0.1 from it.
func authority(t *testing.T, notAfter time.Time, host string) (caPEM []byte, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "private CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "s3"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: notAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		leaf.IPAddresses = []net.IP{ip}
	} else {
		leaf.DNSNames = []string{host}
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	encode := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	write(t, filepath.Join(dir, "cert.pem"), string(encode("CERTIFICATE", leafDER)))
	write(t, filepath.Join(dir, "key.pem"), string(encode("EC PRIVATE KEY", keyDER)))
	return encode("CERTIFICATE", caDER), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
}
