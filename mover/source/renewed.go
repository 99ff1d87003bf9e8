// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"slices"
	"strings"
)

// note remembers keys that are handed out. The caller holds the lock.
func (s *identities) note(id Identity) {
	s.renewed = s.renewed || s.got && !id.Equal(s.latest)
	s.got, s.latest = true, id
	for _, secret := range []Secret{id.SecretKey, id.SessionToken} {
		known := func(other Secret) bool { return other.Reveal() == secret.Reveal() }
		if secret.Reveal() != "" && !slices.ContainsFunc(s.told, known) {
			s.told = append(s.told, secret)
		}
	}
}

// StartRound forgets that keys were renewed.
func (c *Client) StartRound() {
	c.Identities.mu.Lock()
	defer c.Identities.mu.Unlock()
	c.Identities.renewed = false
}

// Renewed reports whether the keys changed since the round began: what was refused then may have
// been signed with the old ones. Each mc keeps those that it began with until it ends.
func (c *Client) Renewed(ctx context.Context) bool {
	_, _ = c.Identities.Get(ctx) // Keys that cannot be read are not renewed.
	c.Identities.mu.Lock()
	defer c.Identities.mu.Unlock()
	return c.Identities.renewed
}

// Scrub removes from a text every secret that was ever handed out, those that were renewed since
// included: a server, or another program, may repeat what it was told. A client that is nil knows
// of none.
func (c *Client) Scrub(text string) string {
	if c == nil {
		return text
	}
	c.Identities.mu.Lock()
	defer c.Identities.mu.Unlock()
	for _, s := range c.Identities.told {
		text = strings.ReplaceAll(text, s.Reveal(), Redacted)
	}
	return text
}
