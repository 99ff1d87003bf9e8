// SPDX-License-Identifier: Apache-2.0

package source

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

// TestASecretIsScrubbedAfterItWasRenewed: a text may be older than the keys of today.
func TestASecretIsScrubbedAfterItWasRenewed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(access, secret, token string) {
		mount(t, filepath.Join(dir, "access_key"), access)
		mount(t, filepath.Join(dir, "secret_key"), secret)
		mount(t, filepath.Join(dir, "session_token"), token)
	}
	put("AK1", "first-secret", "first-token")
	r := wire.Request{Credentials: wire.Credentials{Kind: wire.SecretFiles}}
	c := &Client{Identities: identitiesFor(r, Mounts{Credentials: dir}, nil, "")}
	for step, want := range []struct {
		before  func()
		renewed bool
	}{
		{func() {}, false},
		{func() {}, false},
		{func() { put("AK2", "second-secret", "second-token") }, true},
		{c.StartRound, false},
		{func() { put("AK2", "second-secret", "third-token") }, true},
	} {
		want.before()
		if got := c.Renewed(t.Context()); got != want.renewed {
			t.Errorf("step %d: renewed is %v, want %v", step, got, want.renewed)
		}
	}
	text := c.Scrub("AK1 first-secret first-token AK2 second-secret second-token third-token")
	if strings.Contains(text, "secret") || strings.Contains(text, "token") || !strings.Contains(text, "AK1") ||
		!strings.Contains(text, "AK2") {
		t.Errorf("the text is %q", text)
	}
	if got := (*Client)(nil).Scrub("text"); got != "text" {
		t.Errorf("before there is a client, the text is %q", got)
	}
}
