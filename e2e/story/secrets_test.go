// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// What no story is told of is found by its shape, in objects and in logs.
func TestShapesOfSecrets(t *testing.T) {
	part := func(v map[string]string) string {
		text, _ := json.Marshal(v) // strings never fail
		return base64.RawURLEncoding.EncodeToString(text)
	}
	token := part(map[string]string{"alg": "RS256", "kid": "x"}) + "." + part(map[string]string{"sub": "mover"}) +
		"." + strings.Repeat("s-_", 20)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	private := func(kind string) string { return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: encoded})) }
	in64 := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for name, test := range map[string]struct{ text, want string }{
		"a token":             {"Authorization: Bearer " + token, "a JSON Web Token"},
		"a token in a Secret": {in64(token), "a JSON Web Token in base64"},
		"an answer of STS":    {"<SecretAccessKey>abc</SecretAccessKey>", "the secret key of an STS session"},
		"PKCS 8":              {private("PRIVATE KEY"), "a private key"},
		"PKCS 1":              {private("RSA PRIVATE KEY"), "a private key"},
		"PKCS 8 in base64":    {in64(private("PRIVATE KEY")), "a private key in base64"},
		"PKCS 1 in base64":    {in64(private("RSA PRIVATE KEY")), "a private key in base64"},
		"EC in base64":        {in64(private("EC PRIVATE KEY")), "a private key in base64"},
		"a certificate":       {private("CERTIFICATE"), ""},
		"a certificate too":   {in64(private("CERTIFICATE")), ""},
		"no token":            {"eyJhbGciOiJSUzI1NiJ9 and sha256:" + strings.Repeat("0a", 32), ""},
		"hidden keys":         {"<SecretAccessKey></SecretAccessKey>", ""},
	} {
		if got := reveals([]byte(test.text), nil); got != test.want {
			t.Errorf("%s in a log: %q", name, got)
		}
		o := observer()
		o.secrets = (&secretKeys{}).list
		got := o.shown(&corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "e"}, Message: test.text})
		if got != test.want {
			t.Errorf("%s in an event: %q", name, got)
		}
	}
}

// Only a log that a story planted is allowed to show one.
func TestPlantedLog(t *testing.T) {
	for path, want := range map[string]bool{
		"logs/pods/n_planted-log_uid/probe/0.log": true,
		"logs/pods/n_populate-c_uid/mover/0.log":  false,
		"logs/movers/planted-secrets-1_x.log":     false,
	} {
		if got := plantedLog(path + " shows a private key"); got != want {
			t.Errorf("%s: %t", path, got)
		}
	}
}

// A log that cannot be read is asked for again; what is not kept in the end is told, unless the
// pod was gone at once.
func TestKeepsLogs(t *testing.T) {
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "populate-c")
	refused := errors.New("the kubelet does not answer")
	log := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewBufferString("it began")), nil }
	broken := func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewBufferString("it began"), &failing{})), nil
	}
	for name, test := range map[string]struct {
		answers []any // errors, or how the log is read; the last stays
		age     time.Duration
		want    string // of what was lost
	}{
		"at once":                    {[]any{log}, 0, ""},
		"the second time":            {[]any{refused, log}, time.Hour, ""},
		"never":                      {[]any{refused}, 0, "the kubelet does not answer"},
		"gone, and it just began":    {[]any{gone}, time.Second, ""},
		"gone, and it began earlier": {[]any{gone}, time.Minute, "not found"},
		"broken off, then gone":      {[]any{broken, gone}, time.Minute, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &podLogs{lost: map[string][]string{}}
			path, asked := filepath.Join(t.TempDir(), "a.log"), 0
			m.keep(t.Context(), "n", path, time.Now().Add(-test.age), func() (io.ReadCloser, error) {
				answer := test.answers[min(asked, len(test.answers)-1)]
				asked++
				if err, failed := answer.(error); failed {
					return nil, err
				}
				return answer.(func() (io.ReadCloser, error))()
			})
			got := strings.Join(m.lostIn("n"), ",")
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("lost %q", got)
			}
			if text, err := os.ReadFile(path); m.kept == 1 && string(text) != "it began" {
				t.Errorf("kept %q, %v", text, err)
			}
		})
	}
	if err := (&podLogs{ran: 5}).anyKept(); err == nil {
		t.Error("nothing was kept of five, and nobody was told")
	}
	if err := (&podLogs{ran: 5, kept: 1}).anyKept(); err != nil {
		t.Error(err)
	}
}

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, errors.New("broken off") }
