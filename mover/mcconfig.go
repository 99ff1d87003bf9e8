// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/s3populator/s3populator/mover/source"
)

// mcAlias is the name under which mc knows the source. An alias is resolved
// before a local path, so it can never be taken for one.
const mcAlias = "source"

// mcConfig is mc's config.json, version 10. The environment variables that mc
// offers instead are split by a regular expression and misread secrets.
type mcConfig struct {
	Version string            `json:"version"`
	Aliases map[string]mcHost `json:"aliases"`
}

type mcHost struct {
	URL          string `json:"url"`
	AccessKey    string `json:"accessKey"`
	SecretKey    string `json:"secretKey"`
	SessionToken string `json:"sessionToken,omitempty"`
	API          string `json:"api"`
	Path         string `json:"path"`
}

// mcLookup translates spec.addressing into mc's "path".
func mcLookup(addressing string) string {
	switch addressing {
	case "Path":
		return "on"
	case "VirtualHost":
		return "off"
	}
	return "auto"
}

// writeMCConfig renders the configuration into the memory-backed scratch
// directory, readable by nobody else.
func (m *mover) writeMCConfig(id source.Identity) error {
	host := mcHost{
		URL:          m.source.Endpoint.String(),
		AccessKey:    id.AccessKey,
		SecretKey:    id.SecretKey.Reveal(),
		SessionToken: id.SessionToken.Reveal(),
		API:          "S3v4",
		Path:         mcLookup(m.request.Source.Addressing),
	}
	text, err := json.Marshal(mcConfig{Version: "10", Aliases: map[string]mcHost{mcAlias: host}})
	if err != nil {
		return fmt.Errorf("render mc's configuration: %w", err)
	}
	// Renamed into place, because another mc may be starting.
	next := filepath.Join(m.mcDir(), "config.next")
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return fmt.Errorf("write mc's configuration: %w", err)
	}
	if err := os.Rename(next, filepath.Join(m.mcDir(), "config.json")); err != nil {
		return fmt.Errorf("write mc's configuration: %w", err)
	}
	return nil
}

// writeMCRoots gives mc the CAs to trust, once: those of the source and the public ones. They
// are what mc takes for the system's, because those of its own directory certs/CAs it forgets
// behind a proxy: its transport has them in DialTLSContext, which net/http does not call there.
func (m *mover) writeMCRoots() error {
	if err := os.MkdirAll(m.mcDir(), 0o700); err != nil {
		return fmt.Errorf("write mc's configuration: %w", err)
	}
	if m.source.Endpoint.Scheme != "https" {
		return nil
	}
	all := slices.Concat(m.source.Bundles, [][]byte{systemRoots(m.options.Getenv)})
	if err := os.WriteFile(m.mcRoots(), bytes.Join(all, []byte("\n")), 0o600); err != nil {
		return fmt.Errorf("write mc's CA bundle: %w", err)
	}
	return nil
}

func (m *mover) mcRoots() string { return filepath.Join(m.mcDir(), "roots.pem") }

// systemRoots are in the file in which crypto/x509 would find them. An image made from scratch
// has none: then they are those compiled into this binary.
func systemRoots(getenv func(string) string) []byte {
	for _, file := range []string{
		getenv("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
		"/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
	} {
		if text, err := os.ReadFile(file); err == nil { // #nosec G304 -- a fixed list, and what the pod's own environment names.
			return text
		}
	}
	return publicRoots()
}

// publicRoots are the roots compiled into this binary, as PEM. A root that is
// only trusted under a condition is left out: PEM cannot say so.
func publicRoots() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // A buffer never fails.
		}
	}
	return b.Bytes()
}

func (m *mover) mcDir() string { return filepath.Join(m.options.Paths.Scratch, "mc") }

// mcEnvironment is all that mc sees of the environment. A list of what may
// pass, because MC_HOST_* and others would override the configuration, and
// because no AWS_* credential of the pod belongs there.
func (m *mover) mcEnvironment() []string {
	env := []string{"HOME=" + m.options.Paths.Scratch, "MC_CONFIG_DIR=" + m.mcDir(), "MC_DISABLE_PAGER=1"}
	if m.source.Region != "" {
		env = append(env, "MC_REGION="+m.source.Region) // Spares mc a request per run.
	}
	passed := []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "GOMAXPROCS", "GODEBUG"}
	if m.source.Endpoint.Scheme == "https" {
		env, passed = append(env, "SSL_CERT_FILE="+m.mcRoots()), append(passed, "SSL_CERT_DIR")
	} else {
		// Reading 140 root certificates is half of what mc needs to start.
		env = append(env, "SSL_CERT_FILE="+os.DevNull, "SSL_CERT_DIR="+os.DevNull)
	}
	for _, name := range passed {
		for _, n := range []string{name, strings.ToLower(name)} {
			if v := m.options.Getenv(n); v != "" {
				env = append(env, n+"="+v)
			}
		}
	}
	if m.options.MCMemory > 0 {
		env = append(env, "GOMEMLIMIT="+strconv.FormatInt(m.options.MCMemory, 10))
	}
	return env
}

// removeMCConfig takes the credentials away again.
func (m *mover) removeMCConfig() { _ = os.RemoveAll(m.mcDir()) }
