// SPDX-License-Identifier: Apache-2.0

package mc

import "context"

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
	c.ready, c.identity = true, id
	return c.writeConfig(id)
}

// Expire gives up the keys that mc was told are expired.
func (c *Client) Expire() {
	c.mu.Lock()
	key := c.identity.AccessKey
	c.mu.Unlock()
	c.setup.Source.Identities.Expire(key)
}
