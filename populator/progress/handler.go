// SPDX-License-Identifier: Apache-2.0

// Package progress receives what movers say about how far they are. A mover proves which
// pod it is with a projected token of our own audience, useless against the API server;
// its numbers go into an annotation on that very pod and nowhere else. Nothing depends on
// them: a mover that cannot reach us fills its volume all the same.
package progress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// bodyLimit in bytes: a snapshot has a few hundred.
const bodyLimit = 4 << 10

// patchEvery is the least time between two patches of one pod.
const patchEvery = 2 * time.Second

// patchRate is how many patches per second all movers of the cluster together make.
const patchRate = 50

// countEvery is how long a count of movers is used.
const countEvery = time.Second

// slack forgives a mover that is a little early by its own clock.
const slack = 200 * time.Millisecond

// Handler serves wire.ProgressPath.
type Handler struct {
	// Client reads movers from the cache and patches them.
	Client client.Client
	// Reviewer tells which pod a token belongs to.
	Reviewer *Reviewer
	Now      func() time.Time

	mu      sync.Mutex
	recent  map[types.UID]time.Time
	every   time.Duration // Between two messages of one mover, as counted at.
	counted time.Time
	limit   *rate.Limiter // This replica's share is never more than all.
}

// +kubebuilder:rbac:groups="",resources=pods,verbs=patch

var (
	errNotMover = errors.New("the token is not that of a running mover")
	errTooOften = errors.New("too many messages; the header " + wire.ProgressEvery + " says how often")
)

// ServeHTTP answers 204, or says in one line what was wrong.
func (h *Handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	every := h.interval(req.Context())
	w.Header().Set(wire.ProgressEvery, strconv.Itoa(int(every/time.Second)))
	err := h.accept(req, every)
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, errTooOften), errors.Is(err, errBusy):
		w.Header().Set("Retry-After", strconv.Itoa(int(every/time.Second)))
		http.Error(w, err.Error(), http.StatusTooManyRequests)
	case errors.Is(err, errNotMover), errors.Is(err, errToken):
		http.Error(w, err.Error(), http.StatusUnauthorized)
	case errors.Is(err, errBody):
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		log.FromContext(req.Context()).Error(err, "Cannot record progress")
		http.Error(w, "try again", http.StatusServiceUnavailable)
	}
}

var errBody = errors.New("unreadable progress")

func (h *Handler) accept(req *http.Request, every time.Duration) error {
	token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return errToken
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, bodyLimit))
	if err != nil {
		return errBody
	}
	snapshot, err := wire.ParseSnapshot(body)
	if err != nil {
		return fmt.Errorf("%w: %w", errBody, err)
	}
	who, err := h.Reviewer.Review(req.Context(), token)
	if err != nil {
		return err
	}
	return h.record(req.Context(), who, snapshot, every)
}

// record patches only a pod that our cache of movers shows under the token's own UID.
func (h *Handler) record(ctx context.Context, who Pod, snapshot wire.Snapshot, every time.Duration) error {
	pod := &corev1.Pod{}
	err := h.Client.Get(ctx, types.NamespacedName{Namespace: who.Namespace, Name: who.Name}, pod)
	if apierrors.IsNotFound(err) {
		return errNotMover
	}
	if err != nil {
		return fmt.Errorf("read mover: %w", err)
	}
	if pod.UID != who.UID || !reports(pod) {
		return errNotMover
	}
	if !h.due(pod.UID, every) {
		return errTooOften
	}
	value, err := json.Marshal(snapshot)
	if err != nil {
		return fmt.Errorf("encode progress: %w", err)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": pod.UID, "annotations": map[string]string{v1alpha1.AnnotationProgress: string(value)},
	}})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	err = h.Client.Patch(ctx, pod, client.RawPatch(types.MergePatchType, patch))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return errNotMover
	}
	return err //nolint:wrapcheck // Answered as it is.
}

// reports tells pods that move data, of which others show how far they are.
func reports(pod *corev1.Pod) bool {
	switch pod.Labels[v1alpha1.LabelRole] {
	case v1alpha1.RolePopulate, v1alpha1.RoleExport, v1alpha1.RoleImport:
		return true
	}
	return false
}

// interval is how often one mover may be heard, so that all movers of the cluster together
// make no more than patchRate patches a second. Every replica counts all of them.
func (h *Handler) interval(ctx context.Context) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.Now()
	if h.every > 0 && now.Sub(h.counted) < countEvery {
		return h.every
	}
	var pods corev1.PodList // From the cache, without a copy: it is only counted.
	err := h.Client.List(ctx, &pods, client.HasLabels{v1alpha1.LabelRole}, client.UnsafeDisableDeepCopy)
	if err != nil { // The manager stops.
		return max(h.every, patchEvery)
	}
	running := 0
	for i := range pods.Items {
		if reports(&pods.Items[i]) && pods.Items[i].Status.Phase == corev1.PodRunning {
			running++
		}
	}
	seconds := (running + patchRate - 1) / patchRate
	h.every, h.counted = max(patchEvery, time.Duration(seconds)*time.Second), now
	return h.every
}

// due tells whether a pod may be patched again, and forgets pods that were silent for long.
func (h *Handler) due(uid types.UID, every time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.Now()
	if h.recent == nil {
		h.recent, h.limit = map[types.UID]time.Time{}, rate.NewLimiter(patchRate, patchRate)
	}
	for k, t := range h.recent {
		if now.Sub(t) > max(time.Minute, every) {
			delete(h.recent, k)
		}
	}
	if now.Sub(h.recent[uid]) < every-slack || !h.limit.AllowN(now, 1) {
		return false
	}
	h.recent[uid] = now
	return true
}
