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
	"strings"
	"sync"
	"time"

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

// slack forgives a mover that is a little early by its own clock.
const slack = 200 * time.Millisecond

// Handler serves wire.ProgressPath.
type Handler struct {
	// Client reads movers from the cache and patches them.
	Client client.Client
	// Reviewer tells which pod a token belongs to.
	Reviewer *Reviewer
	Now      func() time.Time

	mu     sync.Mutex
	recent map[types.UID]time.Time
}

// +kubebuilder:rbac:groups="",resources=pods,verbs=patch

var (
	errNotMover = errors.New("the token is not that of a running mover")
	errTooOften = fmt.Errorf("at most one message every %s", patchEvery)
)

// ServeHTTP answers 204, or says in one line what was wrong.
func (h *Handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	err := h.accept(req)
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, errTooOften), errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "2")
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

func (h *Handler) accept(req *http.Request) error {
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
	return h.record(req.Context(), who, snapshot)
}

// record patches only a pod that our cache of movers shows under the token's own UID.
func (h *Handler) record(ctx context.Context, who Pod, snapshot wire.Snapshot) error {
	pod := &corev1.Pod{}
	err := h.Client.Get(ctx, types.NamespacedName{Namespace: who.Namespace, Name: who.Name}, pod)
	if apierrors.IsNotFound(err) {
		return errNotMover
	}
	if err != nil {
		return fmt.Errorf("read mover: %w", err)
	}
	if pod.UID != who.UID || pod.Labels[v1alpha1.LabelRole] != v1alpha1.RolePopulate {
		return errNotMover
	}
	if !h.due(pod.UID) {
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

// due tells whether a pod may be patched again, and forgets pods that were silent for long.
func (h *Handler) due(uid types.UID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.Now()
	if h.recent == nil {
		h.recent = map[types.UID]time.Time{}
	}
	for k, t := range h.recent {
		if now.Sub(t) > time.Minute {
			delete(h.recent, k)
		}
	}
	if now.Sub(h.recent[uid]) < patchEvery-slack {
		return false
	}
	h.recent[uid] = now
	return true
}
