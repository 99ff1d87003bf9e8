// SPDX-License-Identifier: Apache-2.0

package mc

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

// Alias is the name under which mc knows the source. An alias is resolved
// before a local path, so it can never be taken for one.
const Alias = "source"

// config is mc's config.json, version 10. The environment variables that mc
// offers instead are split by a regular expression and misread secrets.
type config struct {
	Version string          `json:"version"`
	Aliases map[string]host `json:"aliases"`
}

type host struct {
	URL          string `json:"url"`
	AccessKey    string `json:"accessKey"`
	SecretKey    string `json:"secretKey"`
	SessionToken string `json:"sessionToken,omitempty"`
	API          string `json:"api"`
	Path         string `json:"path"`
}

// lookup translates spec.addressing into mc's "path".
func lookup(addressing string) string {
	switch addressing {
	case "Path":
		return "on"
	case "VirtualHost":
		return "off"
	}
	return "auto"
}

// writeConfig renders the configuration into the memory-backed scratch
// directory, readable by nobody else.
func (c *Client) writeConfig(id source.Identity) error {
	at := host{
		URL:          c.setup.Source.Endpoint.String(),
		AccessKey:    id.AccessKey,
		SecretKey:    id.SecretKey.Reveal(),
		SessionToken: id.SessionToken.Reveal(),
		API:          "S3v4",
		Path:         lookup(c.setup.Addressing),
	}
	text, err := json.Marshal(config{Version: "10", Aliases: map[string]host{Alias: at}})
	if err != nil {
		return fmt.Errorf("render mc's configuration: %w", err)
	}
	// Renamed into place, because another mc may be starting.
	next := filepath.Join(c.dir(), "config.next")
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return fmt.Errorf("write mc's configuration: %w", err)
	}
	if err := os.Rename(next, filepath.Join(c.dir(), "config.json")); err != nil {
		return fmt.Errorf("write mc's configuration: %w", err)
	}
	return nil
}

// writeRoots gives mc the CAs to trust, once: those of the source and the public ones. They
// are what mc takes for the system's, because those of its own directory certs/CAs it forgets
// behind a proxy: its transport has them in DialTLSContext, which net/http does not call there.
func (c *Client) writeRoots() error {
	if err := os.MkdirAll(c.dir(), 0o700); err != nil {
		return fmt.Errorf("write mc's configuration: %w", err)
	}
	if c.setup.Source.Endpoint.Scheme != "https" {
		return nil
	}
	all := slices.Concat(c.setup.Source.Bundles, [][]byte{systemRoots(c.setup.Getenv)})
	if err := os.WriteFile(c.roots(), bytes.Join(all, []byte("\n")), 0o600); err != nil {
		return fmt.Errorf("write mc's CA bundle: %w", err)
	}
	return nil
}

func (c *Client) roots() string { return filepath.Join(c.dir(), "roots.pem") }

// systemRoots are in the file in which crypto/x509 would find them. An image made from scratch
// has none: then they are those compiled into this binary.
func systemRoots(getenv func(string) string) []byte {
	for _, file := range []string{
		getenv("SSL_CERT_FILE"),
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem",
		"/etc/pki/tls/cacert.pem",
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"/etc/ssl/cert.pem",
	} {
		text, err := os.ReadFile(file) // #nosec G304 -- a fixed list, and what the pod's own environment names.
		if err == nil {
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

func (c *Client) dir() string { return filepath.Join(c.setup.Scratch, "mc") }

// environment is all that mc sees of the environment. A list of what may
// pass, because MC_HOST_* and others would override the configuration, and
// because no AWS_* credential of the pod belongs there.
func (c *Client) environment() []string {
	env := []string{"HOME=" + c.setup.Scratch, "MC_CONFIG_DIR=" + c.dir(), "MC_DISABLE_PAGER=1"}
	if c.setup.Source.Region != "" {
		env = append(env, "MC_REGION="+c.setup.Source.Region) // Spares mc a request per run.
	}
	passed := []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "GOMAXPROCS", "GODEBUG"}
	if c.setup.Source.Endpoint.Scheme == "https" {
		env, passed = append(env, "SSL_CERT_FILE="+c.roots()), append(passed, "SSL_CERT_DIR")
	} else {
		// Reading 140 root certificates is half of what mc needs to start.
		env = append(env, "SSL_CERT_FILE="+os.DevNull, "SSL_CERT_DIR="+os.DevNull)
	}
	for _, name := range passed {
		for _, n := range []string{name, strings.ToLower(name)} {
			if v := c.setup.Getenv(n); v != "" {
				env = append(env, n+"="+v)
			}
		}
	}
	if c.setup.Memory > 0 {
		env = append(env, "GOMEMLIMIT="+strconv.FormatInt(c.setup.Memory, 10))
	}
	return env
}

// Close takes the credentials away again.
func (c *Client) Close() { _ = os.RemoveAll(c.dir()) }
