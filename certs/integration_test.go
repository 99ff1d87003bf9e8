// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/s3populator/s3populator/internal/kubetest"
)

// healing is what the user is promised.
const healing = 10 * time.Second

// aLeaf lives as long as a busy machine needs: a CA has to be published for a twelfth of it before one is served by it,
// and the last sixth of it is all the time that there is to serve another one.
const aLeaf = 5 * LeastLeafDuration

// seconds makes everything happen while a test waits.
func seconds(ca, leaf time.Duration) func(*Options) {
	return func(o *Options) { o.CADuration, o.LeafDuration = ca, leaf }
}

func TestWithAnAPIServer(t *testing.T) {
	config := kubetest.APIServer(t, kubetest.Options{})
	tests := map[string]func(*testing.T, *rest.Config){
		"age":       testRotationByAge,
		"deletion":  testDeletedSecret,
		"restart":   testDeletedSecretAndRestart,
		"overwrite": testOverwrittenBundle,
		"late":      testLateConfiguration,
		"rest":      testNothingIsWrittenAtRest,
		"rights":    testMissingRight,
	}
	t.Run("group", func(t *testing.T) { // Ends when all parallel tests have, before the server does.
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, config)
			})
		}
	})
}

// testRotationByAge lets two replicas live through two CAs, each by 2/3 of its age, and many leaves.
func testRotationByAge(t *testing.T, config *rest.Config) {
	w := newWorld(t, config, "rotation-by-age")
	const ca = 2 * LeastCADuration
	change := seconds(ca, aLeaf)
	a, b := w.start(t, "a", change), w.start(t, "b", change)
	w.register(t, a, b)
	stop := w.load(t)
	defer stop()
	eventually(t, 3*ca, "three CAs served by both replicas", func() bool {
		casA, leavesA := a.tally()
		casB, leavesB := b.tally()
		return casA >= 3 && casB >= 3 && leavesA >= 8 && leavesB >= 8
	})
}

// testDeletedSecret also is how an administrator asks for a new CA.
func testDeletedSecret(t *testing.T, config *rest.Config) {
	w := newWorld(t, config, "deleted-secret")
	change := seconds(time.Hour, aLeaf)
	a, b := w.start(t, "a", change), w.start(t, "b", change)
	w.register(t, a, b)
	stop := w.load(t)
	defer stop()
	for round := 2; round <= 4; round++ {
		before := w.secret(t)
		w.deleteSecret(t)
		eventually(t, healing, "healed", func() bool {
			s := w.secret(t)
			return s != nil && !bytes.Equal(s.Data["tls.crt"], before.Data["tls.crt"]) &&
				bytes.Contains(s.Data[bundleKey], before.Data["tls.crt"]) && bytes.Contains(s.Data[bundleKey], s.Data["tls.crt"])
		})
		eventually(t, healing, "published, old and new", func() bool {
			text := w.configuration(t).Webhooks[0].ClientConfig.CABundle
			return bytes.Contains(text, before.Data["tls.crt"]) && bytes.Contains(text, w.secret(t).Data["tls.crt"]) &&
				bytes.Equal(text, a.CABundle())
		})
		eventually(t, 2*aLeaf, "served by both", func() bool {
			casA, _ := a.tally()
			casB, _ := b.tally()
			return casA >= round && casB >= round
		})
	}
}

// testDeletedSecretAndRestart starts a replica that has never seen the CA that its sibling serves from.
func testDeletedSecretAndRestart(t *testing.T, config *rest.Config) {
	w := newWorld(t, config, "restart")
	change := seconds(time.Hour, 30*time.Second)
	a := w.start(t, "a", change)
	w.register(t, a)
	stop := w.load(t)
	defer stop()
	for _, service := range []string{"b", "c", "d"} {
		w.deleteSecret(t)
		fresh := w.start(t, service, change)
		eventually(t, healing, "the new replica ready", func() bool { return fresh.Ready() == nil })
		eventually(t, healing, "one bundle for all", func() bool {
			return bytes.Equal(fresh.CABundle(), a.CABundle()) &&
				bytes.Equal(fresh.CABundle(), w.configuration(t).Webhooks[0].ClientConfig.CABundle)
		})
		fresh.stop()
	}
}

func testOverwrittenBundle(t *testing.T, config *rest.Config) {
	w := newWorld(t, config, "overwritten-bundle")
	change := func(*Options) {}
	a, b := w.start(t, "a", change), w.start(t, "b", change)
	w.register(t, a, b)
	eventually(t, healing, "ready", func() bool { return a.Ready() == nil && b.Ready() == nil })
	good := w.configuration(t).Webhooks[0].ClientConfig.CABundle
	foreign := bundle{newCA(t, "foreign", -time.Hour, 100*365*24*time.Hour)}.text()
	impostor := bundle{newCA(t, caName, -time.Hour, 100*365*24*time.Hour)}.text()
	for name, text := range map[string][]byte{
		"emptied":                         nil,
		"replaced by a foreign CA":        foreign,
		"given a foreign CA besides ours": append(bytes.Clone(good), foreign...),
		"given a CA with our name":        append(bytes.Clone(good), impostor...),
	} {
		w.overwrite(t, text)
		eventually(t, healing, "healed after it was "+name, func() bool {
			c := w.configuration(t)
			return bytes.Equal(c.Webhooks[0].ClientConfig.CABundle, good) &&
				bytes.Equal(c.Webhooks[1].ClientConfig.CABundle, good)
		})
		eventually(t, healing, "a review allowed after it was "+name, func() bool { return w.review(t.Context()) == nil })
	}
}

func testLateConfiguration(t *testing.T, config *rest.Config) {
	w := newWorld(t, config, "late-configuration")
	a := w.start(t, "a", func(*Options) {})
	eventually(t, healing, "ready without a configuration", func() bool { return a.Ready() == nil })
	w.register(t, a)
	eventually(t, healing, "injected", func() bool {
		return bytes.Equal(w.configuration(t).Webhooks[0].ClientConfig.CABundle, a.CABundle()) && a.Ready() == nil
	})
	eventually(t, healing, "a review allowed", func() bool { return w.review(t.Context()) == nil })
}

// testNothingIsWrittenAtRest looks for longer than every period of this package and of the library.
func testNothingIsWrittenAtRest(t *testing.T, config *rest.Config) {
	w := newWorld(t, config, "at-rest")
	a, b := w.start(t, "a", func(*Options) {}), w.start(t, "b", func(*Options) {})
	w.register(t, a, b)
	eventually(t, healing, "settled", func() bool {
		return a.Ready() == nil && b.Ready() == nil &&
			bytes.Equal(w.configuration(t).Webhooks[1].ClientConfig.CABundle, w.secret(t).Data[bundleKey])
	})
	secret, configuration := w.secret(t).ResourceVersion, w.configuration(t).ResourceVersion
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
	defer cancel()
	<-ctx.Done()
	if got := w.secret(t).ResourceVersion; got != secret {
		t.Errorf("the Secret went from resourceVersion %s to %s at rest", secret, got)
	}
	if got := w.configuration(t).ResourceVersion; got != configuration {
		t.Errorf("the configuration went from resourceVersion %s to %s at rest", configuration, got)
	}
}

func testMissingRight(t *testing.T, config *rest.Config) {
	w := newWorld(t, config, "missing-right")
	roles, get := w.admin.RbacV1().ClusterRoles(), metav1.GetOptions{}
	role, err := roles.Get(t.Context(), w.name, get)
	if err != nil {
		t.Fatal(err)
	}
	complete := role.Rules[0].Verbs
	role.Rules[0].Verbs = []string{"get", "list", "watch"}
	if role, err = roles.Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "known to the API server", func() bool { return w.may(t, "get") && !w.may(t, "patch") })
	a := w.start(t, "a", func(*Options) {})
	w.register(t, a)
	eventually(t, healing, "told why it is not ready", func() bool {
		err := a.Ready()
		return err != nil && strings.Contains(err.Error(), "MutatingWebhookConfiguration missing-right") &&
			strings.Contains(err.Error(), "forbidden")
	})
	role.Rules[0].Verbs = complete
	if _, err = roles.Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "known to the API server", func() bool { return w.may(t, "patch") })
	eventually(t, healing, "ready", func() bool { return a.Ready() == nil })
}
