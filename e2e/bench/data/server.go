// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/s3populator/s3populator/e2e/story"
)

type serverKind string

const (
	versityGW serverKind = "versitygw"
	minIO     serverKind = "minio"
)

// Credentials of the servers. They listen on loopback and hold what a seed made.
const (
	accessKey = "bench-access"
	secretKey = "bench-secret-key"
	bucket    = "bench"
)

// server is a running S3 server over a directory.
type server struct {
	address string // host:port
	root    string // The directory that it serves.
	cmd     *exec.Cmd
}

// startServer runs a server until stop; keepAlive is VersityGW's only, MinIO always does.
func startServer(ctx context.Context, kind serverKind, binary, root string, keepAlive bool) (*server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, fmt.Errorf("find a port for %s: %w", kind, err)
	}
	s := &server{address: address, root: root}
	var args []string
	env := []string{"ROOT_ACCESS_KEY=" + accessKey, "ROOT_SECRET_KEY=" + secretKey}
	switch kind {
	case versityGW:
		args = []string{"--port", address, "--quiet"}
		if keepAlive {
			args = append(args, "--keep-alive")
		}
		args = append(args, "posix", root)
	case minIO:
		args = []string{"server", "--quiet", "--address", address, root}
		env = []string{
			"HOME=" + filepath.Dir(root), "MINIO_ROOT_USER=" + accessKey, "MINIO_ROOT_PASSWORD=" + secretKey,
			"MINIO_BROWSER=off", "MINIO_UPDATE=off",
		}
	}
	log, err := os.Create(filepath.Join(filepath.Dir(root), "server.log"))
	if err != nil {
		return nil, fmt.Errorf("create the log of %s: %w", kind, err)
	}
	defer func() { _ = log.Close() }()
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), binary, args...)
	s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = append(os.Environ(), env...), log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // An interrupt reaches it through stop only.
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", kind, err)
	}
	if err := s.await(ctx); err != nil {
		s.stop()
		return nil, fmt.Errorf("start %s (its log is %s): %w", kind, log.Name(), err)
	}
	return s, nil
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// await waits for the first answer; a refusal is one.
func (s *server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url(), http.NoBody)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode < http.StatusInternalServerError {
				return nil
			}
			err = errors.New(res.Status)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for its first answer: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *server) url() string { return "http://" + s.address }

// stop may be called twice.
func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *server) client() (*minio.Client, error) {
	c, err := minio.New(strings.TrimPrefix(s.url(), "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(accessKey, secretKey, ""), Region: story.Region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return nil, fmt.Errorf("make an S3 client: %w", err)
	}
	return c, nil
}
