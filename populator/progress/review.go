// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/mover/wire"
)

// Keys of a TokenReview's extra information for a token bound to a pod.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

// remember is how long a reviewed token is believed; a pod deleted meanwhile is found out
// by the cache of movers.
const remember = 2 * time.Minute

// Reviews of unknown tokens per second, and at once: anything in the cluster may knock,
// and each knock costs the API server a request.
const (
	reviewRate  = 20
	reviewBurst = 100
)

var (
	errToken = errors.New("a token of audience " + wire.TokenAudience + " is required")
	errBusy  = errors.New("too many unknown tokens at once")
)

// Pod is whom a token belongs to.
type Pod struct {
	Namespace, Name string
	UID             types.UID
}

// Reviewer asks the API server about tokens and remembers its answers for a while.
type Reviewer struct {
	client client.Client
	now    func() time.Time
	limit  *rate.Limiter

	mu    sync.Mutex
	known map[[sha256.Size]byte]answer
}

type answer struct {
	pod   Pod
	until time.Time
}

// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create

// NewReviewer returns a Reviewer with an empty memory.
func NewReviewer(c client.Client, now func() time.Time) *Reviewer {
	return &Reviewer{
		client: c,
		now:    now,
		limit:  rate.NewLimiter(reviewRate, reviewBurst),
		known:  map[[sha256.Size]byte]answer{},
	}
}

// Review returns the pod that a token was projected into. Tokens are kept as hashes only.
func (r *Reviewer) Review(ctx context.Context, token string) (Pod, error) {
	sum := sha256.Sum256([]byte(token))
	if pod, ok := r.recall(sum); ok {
		return pod, nil
	}
	if !r.limit.AllowN(r.now(), 1) {
		return Pod{}, errBusy
	}
	review := &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{wire.TokenAudience}},
	}
	if err := r.client.Create(ctx, review); err != nil {
		return Pod{}, fmt.Errorf("review token: %w", err)
	}
	pod, err := bearer(review.Status)
	if err != nil {
		return Pod{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[sum] = answer{pod: pod, until: r.now().Add(remember)}
	return pod, nil
}

func (r *Reviewer) recall(sum [sha256.Size]byte) (Pod, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for k, a := range r.known {
		if !now.Before(a.until) {
			delete(r.known, k)
		}
	}
	a, ok := r.known[sum]
	return a.pod, ok
}

// bearer reads the pod from an answer and trusts nothing that is not there.
func bearer(s authenticationv1.TokenReviewStatus) (Pod, error) {
	namespace, _, ok := strings.Cut(strings.TrimPrefix(s.User.Username, "system:serviceaccount:"), ":")
	name, uid := s.User.Extra[extraPodName], s.User.Extra[extraPodUID]
	if !s.Authenticated || !slices.Contains(s.Audiences, wire.TokenAudience) || !ok ||
		!strings.HasPrefix(s.User.Username, "system:serviceaccount:") || len(name) != 1 || len(uid) != 1 {
		return Pod{}, errToken
	}
	return Pod{Namespace: namespace, Name: name[0], UID: types.UID(uid[0])}, nil
}
