// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/x509roots/fallback/bundle"
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
func (m *mover) writeMCConfig(id identity) error {
	host := mcHost{
		URL:          m.endpoint.String(),
		AccessKey:    id.accessKey,
		SecretKey:    id.secretKey.reveal(),
		SessionToken: id.sessionToken.reveal(),
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

// writeMCRoots gives mc the CAs to trust, once.
func (m *mover) writeMCRoots() error {
	dir := filepath.Join(m.mcDir(), "certs", "CAs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write mc's configuration: %w", err)
	}
	if m.endpoint.Scheme != "https" {
		return nil
	}
	for i, pem := range m.bundles {
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)+".pem"), pem, 0o600); err != nil {
			return fmt.Errorf("write mc's CA bundle: %w", err)
		}
	}
	if hasSystemRoots(m.options.Getenv) {
		return nil
	}
	if err := os.WriteFile(filepath.Join(dir, "public.pem"), publicRoots(), 0o600); err != nil {
		return fmt.Errorf("write mc's CA bundle: %w", err)
	}
	return nil
}

// hasSystemRoots reports whether mc finds roots by itself, as crypto/x509 looks
// for them. An image made from scratch has none.
func hasSystemRoots(getenv func(string) string) bool {
	if getenv("SSL_CERT_FILE") != "" || getenv("SSL_CERT_DIR") != "" {
		return true
	}
	for _, file := range []string{
		"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
		"/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
	} {
		if _, err := os.Stat(file); err == nil {
			return true
		}
	}
	return false
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
	if m.region != "" {
		env = append(env, "MC_REGION="+m.region) // Spares mc a request per run.
	}
	passed := []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "GOMAXPROCS", "GODEBUG"}
	if m.endpoint.Scheme == "https" {
		passed = append(passed, "SSL_CERT_FILE", "SSL_CERT_DIR")
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
