// SPDX-License-Identifier: Apache-2.0

// Package source reads S3: it resolves the credentials, lists what is selected, looks objects
// up and opens them. It shows no secret to anything but the signer of its requests.
package source

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// awsEndpoint is where S3 is when spec.endpoint is empty.
func awsEndpoint(region string) string {
	switch {
	case region == "":
		return "https://s3.amazonaws.com"
	case strings.HasPrefix(region, "cn-"):
		return "https://s3." + region + ".amazonaws.com.cn"
	}
	return "https://s3." + region + ".amazonaws.com"
}

// parseEndpoint reads spec.endpoint: a scheme, a host and maybe a port.
func parseEndpoint(s wire.Source) (*url.URL, error) {
	endpoint := s.Endpoint
	if endpoint == "" {
		endpoint = awsEndpoint(s.Region)
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return nil, fault.New(wire.RequestRejected, "spec.endpoint is not a URL: %v", err).Because(err)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, fault.New(
			wire.RequestRejected,
			"spec.endpoint %q must be http://HOST[:PORT] or https://HOST[:PORT]",
			u.Redacted(),
		)
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.User != nil:
		return nil, fault.New(wire.RequestRejected,
			"spec.endpoint %q must have nothing but scheme, host and port; the bucket belongs in spec.bucket "+
				"and credentials in spec.credentials", u.Redacted())
	}
	u.Path = ""
	return u, nil
}

// Timeouts of our own requests: listing, lookups, tokens. A mover that cannot
// reach its endpoint must say so within seconds, and is started again anyway.
const (
	dialTimeout     = 5 * time.Second
	tlsTimeout      = 5 * time.Second
	responseTimeout = 60 * time.Second // A listing page of a slow server.
	clientRetries   = 4                // With minio-go's back-off: under 3 s in all.
)

func newTransport(roots *x509.CertPool, insecure bool) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		MaxIdleConnsPerHost:   StatWorkers,
		IdleConnTimeout:       time.Minute,
		TLSHandshakeTimeout:   tlsTimeout,
		ResponseHeaderTimeout: responseTimeout,
		DisableCompression:    true, // Bytes are compared with the object as stored.
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			RootCAs:            roots,
			InsecureSkipVerify: insecure, // #nosec G402 -- spec.tls.insecureSkipVerify, off by default.
		},
	}
}

// readBundles returns the PEM files of spec.tls.caBundles, in order.
func readBundles(dir string, count int) ([][]byte, error) {
	var bundles [][]byte
	for i := range count {
		files, err := os.ReadDir(filepath.Join(dir, strconv.Itoa(i)))
		if err != nil && !os.IsNotExist(err) {
			return nil, fmt.Errorf("read CA bundle %d: %w", i, err)
		}
		found := false
		for _, f := range files {
			if strings.HasPrefix(f.Name(), "..") {
				continue // The kubelet's bookkeeping of a projected volume.
			}
			pem, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(i), f.Name())) // #nosec G304 -- a mounted bundle.
			if err != nil {
				return nil, fmt.Errorf("read CA bundle %d: %w", i, err)
			}
			if !x509.NewCertPool().AppendCertsFromPEM(pem) {
				return nil, fault.New(wire.CertificateInvalid, "spec.tls.caBundles[%d] holds no PEM certificate in %q", i, f.Name())
			}
			bundles, found = append(bundles, pem), true
		}
		if !found {
			return nil, fault.New(
				wire.CertificateInvalid,
				"spec.tls.caBundles[%d] is empty: the ConfigMap or Secret, or its key, does not exist",
				i,
			)
		}
	}
	return bundles, nil
}

// rootPool is the system's roots, or the ones compiled in, and the bundles.
func rootPool(bundles [][]byte) *x509.CertPool {
	if len(bundles) == 0 {
		return nil // crypto/tls's word for the default.
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, pem := range bundles {
		pool.AppendCertsFromPEM(pem)
	}
	return pool
}

// Mounts are the directories and files that a mover's pod has of its source.
type Mounts struct {
	Credentials   string // A directory: one file per key of the Secret.
	CABundles     string // A directory: one directory per bundle.
	IdentityToken string // A file.
}

// Client reads one source.
type Client struct {
	request    wire.Request
	faults     fault.Classifier
	Endpoint   *url.URL
	Bundles    [][]byte // PEM of spec.tls.caBundles and of the installation.
	Identities *identities
	S3         *minio.Client
	Once       *minio.Client // Makes each request once.
	Region     string        // Of the bucket, once it was listed; empty when S3 does not tell.
}

// Connect reads everything that is mounted and makes the client. Nothing is sent yet. An answer of S3 begins within
// firstByte; 0 is a minute.
func Connect(
	r wire.Request, faults fault.Classifier, from Mounts, getenv func(string) string, firstByte time.Duration,
) (*Client, error) {
	c := &Client{request: r, faults: faults}
	var err error
	if c.Endpoint, err = parseEndpoint(r.Source); err != nil {
		return nil, err
	}
	if c.Bundles, err = readBundles(from.CABundles, r.TLS.CABundles); err != nil {
		return nil, err
	}
	if pem := r.TLS.CAPEM; pem != "" {
		c.Bundles = append(c.Bundles, []byte(pem))
	}
	transport := newTransport(rootPool(c.Bundles), r.TLS.InsecureSkipVerify)
	transport.ResponseHeaderTimeout = cmp.Or(firstByte, responseTimeout)
	c.Identities = &identities{
		request:  r,
		paths:    from,
		getenv:   getenv,
		client:   tokenClient(transport),
		platform: tokenClient(newTransport(rootPool(c.Bundles), false)),
		endpoint: c.Endpoint.String(),
	}
	creds, through := credentials.New(c.Identities), c.throughAll(transport)
	if c.S3, err = newClient(c.Endpoint, r.Source, creds, through, clientRetries); err != nil {
		return nil, err
	}
	c.Once, err = newClient(c.Endpoint, r.Source, creds, through, 1)
	return c, err
}

// throughAll is a transport of which each answer comes by all that looks at it.
func (c *Client) throughAll(transport http.RoundTripper) http.RoundTripper {
	return &noticing{
		RoundTripper: &patient{&pages{RoundTripper: &steady{&dated{transport}}, where: c.faults.Where()}},
		expired:      c.Identities.Expire,
	}
}

func newClient(
	endpoint *url.URL,
	s wire.Source,
	creds *credentials.Credentials,
	transport http.RoundTripper,
	tries int,
) (*minio.Client, error) {
	lookup := minio.BucketLookupAuto
	switch s.Addressing {
	case "Path":
		lookup = minio.BucketLookupPath
	case "VirtualHost":
		lookup = minio.BucketLookupDNS
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds:        creds,
		Secure:       endpoint.Scheme == "https",
		Transport:    transport,
		Region:       s.Region,
		BucketLookup: lookup,
		MaxRetries:   tries,
	})
	if err != nil {
		return nil, fault.New(wire.RequestRejected, "spec.endpoint %q is refused: %v", endpoint.Redacted(), err).Because(err)
	}
	return client, nil
}
