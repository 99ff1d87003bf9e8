// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"fmt"
	"io"
	"sync"

	"github.com/s3populator/s3populator/mover/source"
)

// logger writes lines for people.
type logger struct {
	to io.Writer
	// source knows the secrets; nil before any was read.
	source *source.Client

	mu sync.Mutex
}

// printf writes one line. What servers and programs said may be part of it, so secrets are taken out.
func (l *logger) printf(format string, args ...any) {
	line := l.source.Scrub(fmt.Sprintf(format, args...)) + "\n"
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = io.WriteString(l.to, line)
}
