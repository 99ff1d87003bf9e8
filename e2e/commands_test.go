// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/cluster/rundir"
	"github.com/s3populator/s3populator/e2e/story"
)

// Every command of the documents and of conditions has a row in commands, and each row is of
// use. Those without another story or a reason are run in their order, as whoever finds a
// claim Pending would: its keys are wrong.
func TestCommands(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	known := map[string]bool{}
	for _, c := range commands {
		known[c.line] = true
	}
	written := s.Commands("README.md", "docs/guide.md", "docs/operations.md", "docs/gitops.md", "docs/conditions.md")
	for line, where := range written {
		if !known[line] {
			t.Errorf("nobody runs this command of %s: give it a row in commands:\n%s", where, line)
		}
	}
	stories := s.Stories()
	for _, c := range commands {
		if c.story != "" && !stories[c.story] {
			t.Errorf("there is no story %s that could run %s", c.story, c.line)
		}
		if written[c.line] == "" {
			t.Errorf("no document has this command any more: %s", c.line)
		}
	}
	if t.Failed() {
		return
	}

	s.Warnings = []string{"AccessDenied"}
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 3))
	s.Create(
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "s3-" + bucket.Name, Namespace: s.Namespace},
			StringData: map[string]string{
				"access_key": bucket.Server.AccessKey, "secret_key": "not-the-one",
			},
		},
	)
	source := s.Source("imagenet", bucket)
	claim := s.Claim(story.Claim{Name: "imagenet", Source: source.Name})
	s.WaitForCondition(claim.Name, "AccessDenied", "")
	s.Ready(source, metav1.ConditionFalse, "AccessDenied")
	class := s.Class(corev1.PersistentVolumeReclaimDelete, nil)
	volume := s.PrimeOf(claim).Spec.VolumeName
	in := strings.NewReplacer(
		"CLAIM",
		claim.Name,
		"SOURCE",
		source.Name,
		"UID",
		string(claim.UID),
		"NODE",
		rundir.NodeName,
		"VOLUME",
		volume,
		"NAMESPACE",
		s.Namespace,
		"NAME",
		class,
		"namespace ml ",
		"namespace "+s.Namespace+" ",
	)
	kubeconfig := s.Kubeconfig()
	for _, c := range commands {
		if c.story != "" || c.why != "" {
			continue
		}
		if c.before != nil {
			c.before(s, bucket)
		}
		line := in.Replace(c.line)
		if strings.Contains(c.line, " -w") { // It would go on for ever.
			s.Watch(line, c.says, "KUBECONFIG="+kubeconfig)
			continue
		}
		if c.dry {
			line += " --dry-run=server"
		}
		if out := s.Shell(line, "KUBECONFIG="+kubeconfig); !strings.Contains(out, c.says) {
			t.Errorf("%s does not say %q:\n%s", line, c.says, out)
		}
	}
	s.Recovered(claim.Name)
	s.AssertContent(s.Reader(claim), bucket.Under(""))
	s.Ready(source, metav1.ConditionTrue, string(v1alpha1.ReasonInventoryTaken))
}

// corrected are the right keys, which the manager cannot notice by itself.
func corrected(s *story.Story, b *story.Bucket) {
	s.T.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s3-" + b.Name, Namespace: s.Namespace}}
	story.Update(s, secret, func(o *corev1.Secret) { o.Data["secret_key"] = []byte(b.Server.SecretKey) })
}

// command is a line of the documents.
type command struct {
	line, says string
	dry        bool // It would take the node away from all other stories.
	before     func(*story.Story, *story.Bucket)
	// story runs it elsewhere; why nobody does.
	story, why string
}
