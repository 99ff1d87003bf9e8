// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
)

// Peers are other programs that read S3.
var Peers = []string{"mc", "s5cmd", "rclone"}

// CopiedBy are the SHA-256 of all files that another program copies from below a prefix, by their path.
func (b *Bucket) CopiedBy(peer, prefix string) map[string]string {
	s := b.story
	s.T.Helper()
	cache, err := toolchain.Open(s.World.options.Log)
	s.must("open the cache of tools", err)
	tools, err := cache.Ensure(s.T.Context(), peer)
	s.must("build "+peer, err)
	to, home := s.T.TempDir(), s.T.TempDir()
	all := "s3://" + b.Name + "/" + prefix + "*"
	args := map[string][]string{
		"mc":     {"--config-dir", home, "--quiet", "mirror", "peer/" + b.Name + "/" + prefix, to},
		"s5cmd":  {"--endpoint-url", b.Server.Endpoint, "--log", "error", "cp", all, to + "/"},
		"rclone": {"copy", "peer:" + b.Name + "/" + prefix, to},
	}[peer]
	cmd := s.World.Node.Command(s.T.Context(), tools[peer], args...)
	scheme, host, _ := strings.Cut(b.Server.Endpoint, "://")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home,
		"MC_HOST_peer=" + scheme + "://" + b.Server.AccessKey + ":" + b.Server.SecretKey + "@" + host,
		"AWS_ACCESS_KEY_ID=" + b.Server.AccessKey, "AWS_SECRET_ACCESS_KEY=" + b.Server.SecretKey, "AWS_REGION=" + Region,
		"RCLONE_CONFIG=/notfound", "RCLONE_CONFIG_PEER_TYPE=s3", "RCLONE_CONFIG_PEER_PROVIDER=Other",
		"RCLONE_CONFIG_PEER_ACCESS_KEY_ID=" + b.Server.AccessKey, "RCLONE_CONFIG_PEER_REGION=" + Region,
		"RCLONE_CONFIG_PEER_SECRET_ACCESS_KEY=" + b.Server.SecretKey, "RCLONE_CONFIG_PEER_FORCE_PATH_STYLE=true",
		"RCLONE_CONFIG_PEER_ENDPOINT=" + b.Server.Endpoint,
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		s.T.Fatalf("%s: %v\n%s", peer, err, out.String())
	}
	return s.sums(to)
}

// sums of all regular files below a directory but for what exports keep for themselves.
func (s *Story) sums(dir string) map[string]string {
	s.T.Helper()
	all := map[string]string{}
	s.must("read what was copied", filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".s3populator":
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		h := sha256.New()
		_, err = io.Copy(h, f)
		all[path[len(dir)+1:]] = hex.EncodeToString(h.Sum(nil))
		return err
	}))
	return all
}
