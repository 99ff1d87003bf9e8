// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Reviews are annotated claims that are created in a dry run, one after the other, while
// something is done to the manager.
type Reviews struct {
	stop func()
	wait sync.WaitGroup

	mu      sync.Mutex
	asked   int
	refused []error
}

// Reviews begin at once, in a namespace that exists, and go on until End.
func (w *World) Reviews(ctx context.Context, namespace string) *Reviews {
	ctx, stop := context.WithCancel(ctx)
	r := &Reviews{stop: stop}
	r.wait.Go(func() {
		for ctx.Err() == nil {
			claim := &corev1.PersistentVolumeClaim{
				ObjectMeta: metav1.ObjectMeta{
					Namespace:   namespace,
					Name:        "reviewed",
					Annotations: map[string]string{v1alpha1.AnnotationSource: "source"},
				},
				Spec: Claim{}.Spec(),
			}
			err := w.Client.Create(ctx, claim, client.DryRunAll)
			if err == nil && claim.Spec.DataSourceRef == nil {
				err = fmt.Errorf("at %s a claim was let through as it was", time.Now().Format(time.TimeOnly))
			}
			if ctx.Err() == nil {
				r.count(err)
			}
		}
	})
	return r
}

func (r *Reviews) count(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if err != nil {
		r.refused = append(r.refused, err)
	}
}

// Asked is how many claims there were so far.
func (r *Reviews) Asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// End returns how many claims there were, and why some were refused.
func (r *Reviews) End() (asked int, refused []error) {
	r.stop()
	r.wait.Wait()
	return r.asked, r.refused
}

// NoneRefused ends the reviews and fails the story if one was refused.
func (s *Story) NoneRefused(r *Reviews) {
	s.T.Helper()
	const few = 20 // that many are possible in a second
	s.Await("enough claims to be reviewed to tell", func() error {
		if asked := r.Asked(); asked < few {
			return fmt.Errorf("it were %d", asked)
		}
		return nil
	})
	asked, refused := r.End()
	if len(refused) > 0 {
		s.T.Errorf("%d of %d claims were refused, the first: %v", len(refused), asked, refused[0])
	}
}
