// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"net/url"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/s3populator/s3populator/e2e/cluster/node"
)

// Server is one of the S3 servers of a World; it is started when a story first asks
// for it.
type Server string

// The servers: two implementations, each with and without TLS under a private authority.
const (
	VersityGW    Server = "versitygw"
	MinIO        Server = "minio"
	VersityGWTLS Server = "versitygw-tls"
	MinIOTLS     Server = "minio-tls"
	// VersityGWKept keeps connections. It is for stories that export nothing, see node.S3Options.
	VersityGWKept Server = "versitygw-kept"
)

var serverOptions = map[Server]node.S3Options{
	VersityGW:     {Kind: node.VersityGW},
	VersityGWKept: {Kind: node.VersityGW, KeepAlive: true},
	MinIO:         {Kind: node.MinIO},
	VersityGWTLS:  {Kind: node.VersityGW, TLS: &node.TLSOptions{}},
	MinIOTLS:      {Kind: node.MinIO, TLS: &node.TLSOptions{}},
}

// Server returns a server that is up.
func (w *World) Server(name Server) (*node.S3Server, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s, ok := w.servers[name]; ok {
		return s, nil
	}
	return w.startServer(name, serverOptions[name])
}

// startServer runs a server until Close: it outlives the story that asks first.
func (w *World) startServer(name Server, options node.S3Options) (*node.S3Server, error) {
	s, err := w.Node.StartS3(context.Background(), options)
	if err != nil {
		return nil, err
	}
	w.servers[name] = s
	w.hidden.add(string(name), s.SecretKey)
	return s, nil
}

// OwnServer starts a server that ends with the story. Its secret key is searched for like any.
func (s *Story) OwnServer(options node.S3Options) *node.S3Server {
	s.T.Helper()
	s.World.mu.Lock()
	defer s.World.mu.Unlock()
	server, err := s.World.startServer(Server(s.Namespace), options)
	s.must("start an S3 server", err)
	s.last = append(s.last, func() { _ = server.Stop() })
	return server
}

// Region is what both kinds of server call theirs when nobody says otherwise.
const Region = "us-east-1"

// s3 is a client that reaches a server from outside of the node.
func (w *World) s3(s *node.S3Server) (*minio.Client, error) {
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("parse endpoint: %w", err)
	}
	return minio.New(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Secure: u.Scheme == "https",
		Transport: s.Transport(w.Node), Region: Region, BucketLookup: minio.BucketLookupPath,
	})
}
