// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// runS3 starts the server inside the node and waits until it answers.
func (n *Node) runS3(ctx context.Context, s *S3Server, binary string, options S3Options) error {
	s.Log = n.dir.Log(filepath.Base(filepath.Dir(s.Dir)))
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	env, args := s.command(options)
	s.cmd = n.Command(ctx, binary, args...)
	s.cmd.Env = append(s.cmd.Env, env...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.done)
	}()
	if err := n.awaitS3(ctx, s); err != nil {
		text, _ := os.ReadFile(log.Name())
		return errors.Join(
			fmt.Errorf("%w\n%s ends with:\n%s", err, log.Name(), lastLines(string(text), diagnoseLines)),
			s.Stop(),
		)
	}
	return nil
}

// command is the server's environment and arguments. The credentials are in the
// environment: every process can read arguments.
func (s *S3Server) command(options S3Options) (env, args []string) {
	root := filepath.Dir(s.Dir)
	certs := filepath.Join(root, "certs")
	address := fmt.Sprintf("%s:%d", rundir.NodeAddress, s.Port)
	if options.Kind == MinIO {
		env = []string{
			"HOME=" + root,
			"MINIO_ROOT_USER=" + s.AccessKey,
			"MINIO_ROOT_PASSWORD=" + s.SecretKey,
			"MINIO_BROWSER=off",
			"MINIO_DOMAIN=" + rundir.S3Domain,
		}
		args = []string{"server", "--address", address, "--certs-dir", certs, s.Dir}
		if len(options.Env) == 0 {
			args = append(args, "--quiet")
		}
		return append(env, options.Env...), args
	}
	env = []string{"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey}
	args = []string{"--port", address, "--virtual-domain", rundir.S3Domain, "--iam-dir", filepath.Join(root, "config")}
	if options.KeepAlive {
		args = append(args, "--keep-alive")
	}
	if options.TLS != nil {
		args = append(args, "--cert", filepath.Join(certs, "public.crt"), "--key", filepath.Join(certs, "private.key"))
	}
	return env, append(args, "posix", s.Dir)
}

// awaitS3 waits for any answer that speaks S3, which a refusal does.
func (n *Node) awaitS3(ctx context.Context, s *S3Server) error {
	ctx, cancel := context.WithTimeout(ctx, startS3Deadline)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	client := s.Client(n)
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint+"/", http.NoBody)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode < http.StatusInternalServerError {
				return nil
			}
			err = fmt.Errorf("it answers %s", res.Status)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for its first answer: %w", err)
		case <-s.done:
			return errors.New("it ended")
		case <-ticker.C:
		}
	}
}
