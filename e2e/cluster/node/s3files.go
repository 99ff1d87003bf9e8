// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/s3populator/s3populator/e2e/cluster/authority"
	"github.com/s3populator/s3populator/e2e/cluster/netns"
	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// newS3 chooses the port, the credentials and the directory.
func (n *Node) newS3(ctx context.Context, options S3Options) (*S3Server, error) {
	root, err := os.MkdirTemp(n.dir.S3(), string(options.Kind)+"-")
	if err != nil {
		return nil, err
	}
	s := &S3Server{
		Dir: filepath.Join(root, "data"), Port: options.Port, keepAlive: options.KeepAlive, done: make(chan struct{}),
	}
	for _, dir := range []string{s.Dir, filepath.Join(root, "certs", "CAs"), filepath.Join(root, "config")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if options.Trust != nil {
		if err := os.WriteFile(filepath.Join(root, "certs", "CAs", "trusted.crt"), options.Trust, 0o600); err != nil {
			return nil, err
		}
	}
	if s.Port == 0 {
		if s.Port, err = netns.FreePort(ctx, n.state.Init.PID, rundir.NodeAddress); err != nil {
			return nil, err
		}
	}
	secret := make([]byte, 16)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	s.AccessKey, s.SecretKey = "AK"+hex.EncodeToString(secret[:6]), hex.EncodeToString(secret[6:])
	scheme := "http"
	if options.TLS != nil {
		scheme = "https"
		if s.CABundle, err = writeCertificates(filepath.Join(root, "certs"), options.TLS); err != nil {
			return nil, err
		}
	}
	s.Endpoint = fmt.Sprintf("%s://%s:%d", scheme, rundir.NodeAddress, s.Port)
	return s, nil
}

// writeCertificates makes a server certificate under MinIO's file names.
func writeCertificates(dir string, options *TLSOptions) (ca []byte, err error) {
	a, err := authority.New("S3 test server's authority")
	if err != nil {
		return nil, err
	}
	cert, key, err := a.Issue(authority.Names{
		CommonName: rundir.S3Domain, DNS: append([]string{rundir.S3Domain, "*." + rundir.S3Domain}, options.Names...),
		IPs: []net.IP{net.ParseIP(rundir.NodeAddress)},
	})
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "public.crt"), cert, 0o600),
		os.WriteFile(filepath.Join(dir, "private.key"), key, 0o600),
	)
	return a.PEM(), err
}
