// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cgroupLimit returns the memory limit of this container in bytes, or 0 when
// there is none. Inside a container both versions show their own group at the
// root of the hierarchy.
func cgroupLimit(root string) int64 {
	const unlimited = 1 << 60 // Version 1 says "none" with a number near 2^63.
	for _, name := range []string{"memory.max", "memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(filepath.Join(root, name)) // #nosec G304 -- two fixed names.
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n < unlimited {
			return n
		}
	}
	return 0
}
