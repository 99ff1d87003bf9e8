// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
)

// Sample reads an example of manifests/samples, for the namespace of the story.
func (s *Story) Sample(file string) (all []client.Object) {
	s.T.Helper()
	source, err := toolchain.SourceRoot()
	s.must("find the samples", err)
	text, err := os.ReadFile(filepath.Join(source, "manifests/samples", file))
	s.must("read a sample", err)
	objects, err := decode(bytes.NewReader(text))
	s.must("read a sample", err)
	for _, u := range objects {
		o, err := s.World.Client.Scheme().New(u.GroupVersionKind())
		s.must("read a sample", err)
		s.must("read a sample", runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, o))
		typed := o.(client.Object)
		typed.SetNamespace(s.Namespace)
		all = append(all, typed)
	}
	return all
}
