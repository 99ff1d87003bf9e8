// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// listening is the state of a socket that takes connections, in the tables of the kernel.
const listening = "0A"

// listensAt tells whether a process has a socket that listens at the port of an address. Where the kernel does not
// say, the process is believed.
func listensAt(pid int, address string) bool {
	if _, err := os.Stat("/proc/net/tcp"); err != nil {
		return true
	}
	sockets := listeners(address)
	open, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range open {
		if target, err := os.Readlink(fd); err == nil && sockets[target] {
			return true
		}
	}
	return false
}

// listeners are the sockets that listen at the port of an address, by the names that open files have of them.
func listeners(address string) map[string]bool {
	_, text, _ := net.SplitHostPort(address)
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil
	}
	port, found := fmt.Sprintf(":%04X", number), map[string]bool{}
	for _, name := range []string{"tcp", "tcp6"} {
		table, _ := os.ReadFile(filepath.Join("/proc/net", name)) //nolint:gosec // One of two tables of the kernel.
		for line := range strings.Lines(string(table)) {
			const local, state, inode = 1, 3, 9
			if f := strings.Fields(line); len(f) > inode && f[state] == listening && strings.HasSuffix(f[local], port) {
				found["socket:["+f[inode]+"]"] = true
			}
		}
	}
	return found
}
