// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
)

// printed is what a command has printed so far.
type printed struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *printed) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(text)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// Watch runs a command that goes on for ever, as Shell would, until it has printed a text.
func (s *Story) Watch(script, says string, env ...string) {
	s.T.Helper()
	ctx, stop := context.WithCancel(s.T.Context())
	defer stop()
	out, ended, dir := &printed{}, make(chan struct{}), s.File(".")
	var how error
	go func() {
		how = s.World.run(ctx, out, dir, script, env...)
		close(ended)
	}()
	s.Await(fmt.Sprintf("%q to print %q", script, says), func() error {
		text := out.String()
		if strings.Contains(text, says) {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("%w: it has ended (%w)\n%s", errNever, how, out.String())
		default:
			return fmt.Errorf("it has printed\n%s", text)
		}
	})
	stop()
	<-ended
}
