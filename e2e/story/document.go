// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
)

var scripts = regexp.MustCompile("(?ms)^( *)```sh\n(.*?)^ *```$")

// Scripts are the blocks of shell in a section of a document, in their order.
func (s *Story) Scripts(document, section string) (all []string) {
	s.T.Helper()
	text, err := os.ReadFile(s.File(document))
	s.must("read a document", err)
	_, after, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		s.T.Fatalf("%s has no section %q", document, section)
	}
	body, _, _ := strings.Cut(after, "\n## ")
	for _, m := range scripts.FindAllStringSubmatch(body, -1) {
		all = append(all, strings.ReplaceAll("\n"+m[2], "\n"+m[1], "\n"))
	}
	return all
}

// Shell runs a script in the root of this checkout with kubectl, helm and mc at hand, and
// returns what it printed. A reader of the documents would do the same.
func (s *Story) Shell(script string, env ...string) string {
	s.T.Helper()
	out, err := s.World.shell(s.T.Context(), s.File("."), script, env...)
	if err != nil {
		s.T.Fatal(err)
	}
	return out
}

func (w *World) shell(ctx context.Context, dir, script string, env ...string) (string, error) {
	cache, err := toolchain.Open(w.options.Log)
	if err != nil {
		return "", err
	}
	tools, err := cache.Ensure(ctx, "helm", "mc")
	if err != nil {
		return "", err
	}
	home := filepath.Join(w.Dir(), "shell")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return "", err
	}
	var out bytes.Buffer
	cmd := w.Node.Command(ctx, "bash", "-c", "set -euo pipefail; cd "+dir+"; "+
		`export PATH="`+filepath.Dir(tools["helm"])+":"+filepath.Dir(tools["mc"])+`:$PATH"`+"\n"+script)
	cmd.Env = append(append(cmd.Environ(), "HOME="+home), env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("run %q: %w\n%s", script, err, out.String())
	}
	return out.String(), nil
}
