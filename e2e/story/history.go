// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"fmt"
	"os/exec"
)

// gitArchive is a directory of an earlier commit, as a tar archive.
func gitArchive(checkout, commit, directory string) ([]byte, error) {
	out, err := exec.Command("git", "-C", checkout, "archive", "--format=tar", commit, directory).Output() //nolint:noctx // Reads a few files.
	if err != nil {
		return nil, fmt.Errorf("git archive %s: %w", commit, err)
	}
	return out, nil
}

func unpack(archive []byte, into string) error {
	cmd := exec.Command("tar", "-x", "-C", into) //nolint:noctx // Writes a few files.
	cmd.Stdin = bytes.NewReader(archive)
	return cmd.Run()
}
