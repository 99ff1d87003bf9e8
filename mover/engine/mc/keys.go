// SPDX-License-Identifier: Apache-2.0

package mc

import (
	"context"
	"slices"
	"strings"

	"github.com/s3populator/s3populator/mover/source"
)

// refresh renders mc's configuration for the next run, with the credentials of
// this moment and whatever may have happened to the file since.
func (c *Client) refresh(ctx context.Context) error {
	id, err := c.setup.Source.Identities.Get(ctx)
	if err != nil {
		return err //nolint:wrapcheck // It says all that there is to say.
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready {
		if err := c.writeRoots(); err != nil {
			return err
		}
	}
	c.use(id)
	return c.writeConfig(id)
}

// use notes the keys that mc is told.
func (c *Client) use(id source.Identity) {
	c.renewed = c.renewed || c.ready && !id.Equal(c.identity)
	c.ready, c.identity = true, id
	for _, secret := range []source.Secret{id.SecretKey, id.SessionToken} {
		known := func(s source.Secret) bool { return s.Reveal() == secret.Reveal() }
		if secret.Reveal() != "" && !slices.ContainsFunc(c.told, known) {
			c.told = append(c.told, secret)
		}
	}
}

// StartRound forgets that keys were renewed.
func (c *Client) StartRound() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renewed = false
}

// Renewed reports whether the keys changed since the round began. Each mc keeps those that it
// began with until it ends, and says of any 403 that permissions are insufficient.
func (c *Client) Renewed(ctx context.Context) bool {
	id, err := c.setup.Source.Identities.Get(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.renewed || err == nil && c.ready && !id.Equal(c.identity)
}

// Expire gives up the keys that mc was told are expired.
func (c *Client) Expire() {
	c.mu.Lock()
	key := c.identity.AccessKey
	c.mu.Unlock()
	c.setup.Source.Identities.Expire(key)
}

// Scrub removes from a text the secrets that any mc was told, those that were renewed since
// included. mc does not print them; this keeps it so. A client that is nil knows of none.
func (c *Client) Scrub(text string) string {
	if c == nil {
		return text
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.told {
		text = strings.ReplaceAll(text, s.Reveal(), source.Redacted)
	}
	return text
}
