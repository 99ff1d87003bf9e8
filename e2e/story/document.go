// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
)

//nolint:gocritic // With (?m) a ^ stands at each line.
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
	var out bytes.Buffer
	if err := w.run(ctx, &out, dir, script, env...); err != nil {
		return out.String(), fmt.Errorf("run %q: %w\n%s", script, err, out.String())
	}
	return out.String(), nil
}

func (w *World) run(ctx context.Context, out io.Writer, dir, script string, env ...string) error {
	cache, err := toolchain.Open(w.options.Log)
	if err != nil {
		return err
	}
	tools, err := cache.Ensure(ctx, "helm", "mc")
	if err != nil {
		return err
	}
	home := filepath.Join(w.Dir(), "shell")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	cmd := w.Node.Command(ctx, "bash", "-c", "set -euo pipefail; cd "+dir+"; "+
		`export PATH="`+filepath.Dir(tools["helm"])+":"+filepath.Dir(tools["mc"])+`:$PATH"`+"\n"+script)
	cmd.Env = append(append(cmd.Environ(), "HOME="+home), env...)
	cmd.Stdout, cmd.Stderr = out, out
	return cmd.Run()
}

var (
	fenced    = regexp.MustCompile("(?ms)^ *```(\\w*)\n(.*?)^ *```$") //nolint:gocritic // As above.
	heredoc   = regexp.MustCompile(`(?ms)<<'END'$.*?^ *END$`)         //nolint:gocritic // As above.
	continued = regexp.MustCompile(`\\\n\s*`)
	comment   = regexp.MustCompile(`\s+#.*$`)
	shown     = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	inline    = regexp.MustCompile("`((?:kubectl|helm|flux|velero) [^`]+)`")
)

// placeholders are what the documents have for the names in the messages of docs/conditions.md.
var placeholders = strings.NewReplacer(
	"nodes a ", "nodes NODE ",
	"node a", "node NODE",
	"worker-7", "NODE",
	"pv pv-1", "pv VOLUME",
	"s3source models", "s3source SOURCE",
)

// Commands are all that documents tell their readers to type, and where: in blocks of shell,
// in those of a console after a dollar, and in a sentence.
func (s *Story) Commands(documents ...string) map[string]string {
	s.T.Helper()
	all := map[string]string{}
	for _, document := range documents {
		raw, err := os.ReadFile(s.File(document))
		s.must("read a document", err)
		text := string(raw)
		for _, m := range fenced.FindAllStringSubmatch(text, -1) {
			for line := range strings.Lines(continued.ReplaceAllString(heredoc.ReplaceAllString(m[2], "<<END"), "")) {
				line = strings.TrimSuffix(comment.ReplaceAllString(strings.TrimSpace(line), ""), " &&")
				typed, prompted := strings.CutPrefix(line, "$ ")
				if line != "" && (m[1] == "sh" && !strings.HasPrefix(line, "MINIO_") || m[1] == "console" && prompted) {
					all[typed] = document
				}
			}
		}
		for _, m := range inline.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			all[placeholders.Replace(shown.ReplaceAllString(strings.Join(strings.Fields(m[1]), " "), "UID"))] = document
		}
	}
	return all
}

// Kubeconfig is an administrator's whose current namespace is that of the story.
func (s *Story) Kubeconfig() string {
	s.T.Helper()
	file := filepath.Join(s.T.TempDir(), "kubeconfig")
	text, err := os.ReadFile(s.World.Node.Kubeconfig())
	s.must("read the kubeconfig", err)
	s.must("write a kubeconfig", os.WriteFile(file, text, 0o600))
	s.Shell("kubectl config set-context --current --namespace "+s.Namespace, "KUBECONFIG="+file)
	return file
}

var declared = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// Stories are the names of all, those of the chart with "chart." before them.
func (s *Story) Stories() map[string]bool {
	s.T.Helper()
	all := map[string]bool{}
	for dir, before := range map[string]string{"e2e": "", "e2e/chart": "chart."} {
		files, err := filepath.Glob(filepath.Join(s.File(dir), "*_test.go"))
		s.must("find the stories", err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			s.must("read a story", err)
			for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
				all[before+m[1]] = true
			}
		}
	}
	return all
}
