// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// secret is bytes that nobody may see who may not read Secrets.
type secret struct {
	what string
	text []byte
}

// secretKeys are those of all servers, as they are and as they look in a Secret.
type secretKeys struct {
	mu  sync.Mutex
	all []secret
}

func (k *secretKeys) add(whose, key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	what := "the secret key of " + whose
	k.all = append(slices.Clone(k.all),
		secret{what, []byte(key)},
		secret{what + " in base64", []byte(base64.StdEncoding.EncodeToString([]byte(key)))})
}

func (k *secretKeys) list() []secret {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all
}

// shapes are those of secrets that no story is told: the tokens of ServiceAccounts, with which movers
// report progress and ask for keys, and the session tokens of MinIO, which are JSON Web Tokens too; the
// keys in an answer of STS; the private keys of certificates. Where only others have to be able to read
// them, which is in Secrets, nobody looks.
var shapes = []struct {
	what, part string // part is in each, and found faster
	shape      *regexp.Regexp
}{
	{
		"a JSON Web Token", "eyJ",
		regexp.MustCompile(`eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}`),
	},
	{
		"a JSON Web Token in base64", "ZXlKaGJHY2lPaU",
		regexp.MustCompile(`ZXlKaGJHY2lPaU[A-Za-z0-9+/]{16,}`),
	},
	{
		"the secret key of an STS session", "SecretAccessKey",
		regexp.MustCompile(`(<|&lt;|\\u003c)SecretAccessKey(>|&gt;|\\u003e)[^<&\\\s]`),
	},
	{
		"a private key", "PRIVATE KEY",
		regexp.MustCompile(`-{5}BEGIN [A-Z ]*PRIVATE KEY-{5}`),
	},
	{
		"a private key in base64", "LS0tLS1CRUdJTiB",
		regexp.MustCompile(`LS0tLS1CRUdJTiB(QUklWQVRFIEtF|FQyBQUklWQVRFIEtF|SU0EgUFJJVkFURSBL)`),
	},
}

func reveals(text []byte, secrets []secret) string {
	for _, s := range secrets {
		if bytes.Contains(text, s.text) {
			return s.what
		}
	}
	for _, s := range shapes {
		if bytes.Contains(text, []byte(s.part)) && s.shape.Match(text) {
			return s.what
		}
	}
	return ""
}

// shown is the secret that an object shows, in whatever field: annotations, arguments,
// environment, messages of conditions and events, managed fields. Empty for none.
func (o *Observer) shown(obj client.Object) string {
	if o.secrets == nil {
		return ""
	}
	text, err := json.Marshal(obj)
	if err != nil {
		return fmt.Sprintf("what cannot be encoded: %v", err)
	}
	return reveals(text, o.secrets())
}

func (o *Observer) noteRevealed(obj client.Object, what string) {
	if what == "" {
		return
	}
	namespace := obj.GetNamespace()
	if v := o.invariants.volumes[obj.GetName()]; v != nil && namespace == "" {
		namespace = v.namespace
	}
	text := fmt.Sprintf("%T %s shows %s", obj, obj.GetName(), what)
	if !slices.Contains(o.revealed[namespace], text) {
		o.revealed[namespace] = append(o.revealed[namespace], text)
	}
}

// planted begins the names of objects in which a story hides a secret key to see it found.
const planted = "planted-"

// Planted waits until every object of these kinds whose name begins with "planted-" was found to
// show a secret key.
func (s *Story) Planted(objects ...client.Object) {
	s.T.Helper()
	o := s.World.Seen
	s.Await("the planted secrets to be found", func() error {
		s.searchSecrets(s.T.Context())
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, object := range objects {
			text := fmt.Sprintf("%T %s shows the secret key of", object, object.GetName())
			if !slices.ContainsFunc(o.revealed[s.Namespace], func(found string) bool { return strings.HasPrefix(found, text) }) {
				return fmt.Errorf("%T %s was not found; all that was: %v", object, object.GetName(), o.revealed[s.Namespace])
			}
		}
		return nil
	})
}

// searchSecrets looks at what no watch shows, while the namespace is full: objects of all
// kinds that we make, touch or cause, as the API server stores them.
func (s *Story) searchSecrets(ctx context.Context) {
	o := s.World.Seen
	for _, list := range []client.ObjectList{
		&corev1.PodList{}, &corev1.PersistentVolumeClaimList{}, &corev1.EventList{}, &eventsv1.EventList{},
		&corev1.ConfigMapList{},
		&v1alpha1.S3SourceList{}, &v1alpha1.S3ImportList{}, &v1alpha1.S3ExportList{},
		&batchv1.JobList{}, &appsv1.StatefulSetList{},
	} {
		if err := s.World.Client.List(ctx, list, client.InNamespace(s.Namespace)); err != nil {
			s.T.Errorf("search for secrets in %T: %v", list, err)
		}
		_ = meta.EachListItem(list, func(item runtime.Object) error { // fails only as the function does
			what := o.shown(item.(client.Object))
			o.mu.Lock()
			defer o.mu.Unlock()
			o.noteRevealed(item.(client.Object), what)
			return nil
		})
	}
}
