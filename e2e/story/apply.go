// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"encoding/json"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// Apply runs `kubectl apply` on a manifest, as its user does before, while and after.
func (s *Story) Apply(manifest client.Object, args ...string) {
	s.T.Helper()
	o := manifest.DeepCopyObject().(client.Object)
	kind, err := apiutil.GVKForObject(o, s.World.Client.Scheme())
	s.must("apply a manifest", err)
	o.GetObjectKind().SetGroupVersionKind(kind)
	text, err := json.Marshal(o)
	s.must("apply a manifest", err)
	cmd := s.World.Node.Command(s.T.Context(), "kubectl", append([]string{"apply", "-f", "-"}, args...)...)
	cmd.Stdin = bytes.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.T.Fatal(fmt.Errorf("kubectl apply %s %s: %w\n%s", kind.Kind, o.GetName(), err, out))
	}
}

// Kubectl runs kubectl in the namespace of the story and returns what it printed.
func (s *Story) Kubectl(args ...string) string {
	s.T.Helper()
	out, err := s.World.Node.Command(
		s.T.Context(),
		"kubectl",
		append(args, "--namespace", s.Namespace)...).CombinedOutput()
	if err != nil {
		s.T.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// File is the absolute path of a file of this checkout.
func (s *Story) File(path string) string {
	s.T.Helper()
	absolute, err := Checkout(path)
	s.must("find "+path, err)
	return absolute
}
