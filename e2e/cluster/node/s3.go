// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
)

// S3Kind is which S3 server runs.
type S3Kind string

// Two servers that share no code, so that a test on both finds what only one
// of them forgives.
const (
	VersityGW S3Kind = "versitygw"
	MinIO     S3Kind = "minio"
)

// S3Options of a server. The zero value is VersityGW without TLS on a port of
// its own.
type S3Options struct {
	Kind S3Kind
	TLS  *TLSOptions
	Port int // zero: any free one
	// Env is further environment of the server. With any, MinIO also logs what it says when
	// it starts.
	Env []string
	// KeepAlive has VersityGW keep connections, as MinIO always does. It is not for movers that export: VersityGW
	// leaves the end of an empty upload unread and takes it for the next request of the connection.
	KeepAlive bool
	// Trust are authorities in PEM, beside the public ones, that MinIO trusts as a client.
	Trust []byte
}

// TLSOptions make the server speak TLS under a private authority. Its
// certificate is good for the node's address, s3.test, every *.s3.test, and
// Names.
type TLSOptions struct {
	Names []string
}

// S3Server is a real S3 server inside the node, over a directory on disk.
type S3Server struct {
	Endpoint  string // with scheme, for pods and Node.Dial: the node's address
	AccessKey string
	SecretKey string
	CABundle  []byte // PEM, nil without TLS
	Dir       string // buckets, one directory each; the files in them are the objects with VersityGW only
	Port      int
	Log       string // file of what it prints

	keepAlive bool // Of VersityGW, see S3Options.
	cmd       *exec.Cmd
	done      chan struct{} // closed when it has ended
}

// startS3Deadline is generous: the servers need about one second.
const startS3Deadline = 3 * time.Minute

// StartS3 runs an S3 server until Stop or the end of the context or the node.
func (n *Node) StartS3(ctx context.Context, options S3Options) (*S3Server, error) {
	if options.Kind == "" {
		options.Kind = VersityGW
	}
	cache, err := toolchain.Open(os.Stderr)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", options.Kind, err)
	}
	binaries, err := cache.Ensure(ctx, string(options.Kind))
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", options.Kind, err)
	}
	s, err := n.newS3(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", options.Kind, err)
	}
	if err := n.runS3(ctx, s, binaries[string(options.Kind)], options); err != nil {
		return nil, fmt.Errorf("start %s: %w", options.Kind, err)
	}
	return s, nil
}

// Client is an HTTP client that reaches the server from outside of the node and
// trusts its authority.
func (s *S3Server) Client(n *Node) *http.Client { return &http.Client{Transport: s.Transport(n)} }

// Transport is the part of Client that S3 libraries take.
func (s *S3Server) Transport(n *Node) *http.Transport {
	t := &http.Transport{DialContext: n.Dial, MaxIdleConnsPerHost: 16, DisableKeepAlives: s.keepAlive}
	if s.CABundle != nil {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(s.CABundle)
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return t
}

// Stop ends the server, at once, and keeps its directory. It may be called
// twice.
func (s *S3Server) Stop() error {
	select {
	case <-s.done:
		return nil
	default:
	}
	if err := unix.Kill(-s.cmd.Process.Pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("stop the S3 server: %w", err)
	}
	<-s.done
	return nil
}
