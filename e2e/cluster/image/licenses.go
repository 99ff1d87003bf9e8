// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
)

// addLicenses adds the license texts of what the programs link to the files of an image, where
// its Dockerfile asks for them: those of earlier commits did not.
func addLicenses(ctx context.Context, c *toolchain.Cache, files map[string]string, programs ...string) error {
	dockerfile, err := os.ReadFile(filepath.Join(c.Source, "Dockerfile"))
	if err != nil {
		return err
	}
	if !bytes.Contains(dockerfile, []byte(".LICENSES")) {
		return nil
	}
	for _, program := range programs {
		path, err := licenses(ctx, c, program)
		if err != nil {
			return fmt.Errorf("collect the licenses of %s: %w", program, err)
		}
		files[fmt.Sprintf("bin/linux-%s/%s.LICENSES", c.Arch, program)] = path
	}
	return nil
}

// licenses writes the texts into the cache, under a name that says what is in the file.
func licenses(ctx context.Context, c *toolchain.Cache, program string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "run", "./hack/licenses", "-texts", program)
	cmd.Dir, cmd.Stderr = c.Source, c.Log
	text, err := cmd.Output()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(c.Root, "licenses")
	sum := sha256.Sum256(text)
	path := filepath.Join(dir, program+"-"+hex.EncodeToString(sum[:8])+".txt")
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, text) {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// Others may write the same file at the same time.
	tmp, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return "", err
	}
	_, err = tmp.Write(text)
	return path, errors.Join(err, tmp.Chmod(0o644), tmp.Close(), os.Rename(tmp.Name(), path))
}
