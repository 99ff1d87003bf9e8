// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// pretend is an API server whose webhook does to a claim what review says.
func pretend(t *testing.T, review func(*corev1.PersistentVolumeClaim) error, list error) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme).Build(), interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return list },
		Create: func(_ context.Context, _ client.WithWatch, o client.Object, options ...client.CreateOption) error {
			var all client.CreateOptions
			all.ApplyOptions(options)
			if len(all.DryRun) == 0 {
				t.Error("a claim was really created")
			}
			return review(o.(*corev1.PersistentVolumeClaim))
		},
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	good := func(c *corev1.PersistentVolumeClaim) error {
		c.Spec.DataSourceRef = &corev1.TypedObjectReference{
			Kind: v1alpha1.KindS3Source,
			Name: c.Annotations[v1alpha1.AnnotationSource],
		}
		return nil
	}
	absent := func(*corev1.PersistentVolumeClaim) error { return nil }
	down := func(*corev1.PersistentVolumeClaim) error { return errors.New("connection refused") }
	turns := 0
	late := func(c *corev1.PersistentVolumeClaim) error {
		turns++
		if turns < 3 {
			return errors.New("connection refused")
		}
		return good(c)
	}
	cases := map[string]struct {
		review    func(*corev1.PersistentVolumeClaim) error
		list      error
		admission bool
		want      string
	}{
		"it works":                 {review: good, admission: true},
		"it works a moment later":  {review: late, admission: true},
		"no webhook is registered": {review: absent, admission: true, want: "no webhook has reviewed it"},
		"nobody answers":           {review: down, admission: true, want: "connection refused"},
		"admission is turned off":  {review: down},
		"the CRDs are not installed": {
			review:    good,
			list:      errors.New("no matches for kind"),
			admission: true,
			want:      "are the CRDs installed?",
		},
		"off, and no CRDs either way": {
			review: good,
			list:   errors.New("no matches for kind"),
			want:   "are the CRDs installed?",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			patience := 3 * time.Second // At the end of which it must have looked once.
			if c.want == "" {
				patience = time.Minute // What works comes in its time, on a slow machine too.
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var out bytes.Buffer
			i := installation{
				client:    pretend(t, c.review, c.list),
				namespace: "s3populator-system",
				admission: c.admission,
				every:     time.Millisecond,
			}
			err := i.check(ctx, &out)
			switch {
			case c.want == "" && (err != nil || !strings.Contains(out.String(), "works here")):
				t.Errorf("got %v, it said %q", err, out.String())
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want an error that says %q", err, c.want)
			}
		})
	}
}
