// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// pagedVolumes serves n volumes page by page and watches who lists them.
type pagedVolumes struct {
	client.Reader
	n int
	// proceed is received from before each list is answered; nil answers at once.
	proceed chan struct{}
	fail    error

	lists, pages atomic.Int32
	atOnce       atomic.Int32
	most         atomic.Int32
	largest      atomic.Int64
}

func (p *pagedVolumes) List(_ context.Context, l client.ObjectList, opts ...client.ListOption) error {
	o := (&client.ListOptions{}).ApplyOptions(opts)
	p.most.Store(max(p.most.Load(), p.atOnce.Add(1)))
	defer p.atOnce.Add(-1)
	if o.Continue == "" {
		p.lists.Add(1)
		if p.proceed != nil {
			<-p.proceed
		}
	}
	p.pages.Add(1)
	if p.fail != nil {
		return p.fail
	}
	begin := 0
	if o.Continue != "" {
		begin, _ = strconv.Atoi(o.Continue)
	}
	end := p.n
	if o.Limit > 0 {
		end = min(p.n, begin+int(o.Limit))
	}
	volumes := l.(*corev1.PersistentVolumeList)
	for i := begin; i < end; i++ {
		volumes.Items = append(volumes.Items, corev1.PersistentVolume{Spec: corev1.PersistentVolumeSpec{
			ClaimRef: &corev1.ObjectReference{UID: types.UID(fmt.Sprint("claim-", i))},
		}})
	}
	if end < p.n {
		volumes.Continue = strconv.Itoa(end)
	}
	p.largest.Store(max(p.largest.Load(), int64(end-begin)))
	return nil
}

// Every claim that asks at the same time is answered by one list or its successor, in pages.
func TestManyClaimsShareOneListOfVolumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		volumes := &pagedVolumes{n: 1203, proceed: make(chan struct{})}
		var shared claimedVolumes
		var wg sync.WaitGroup
		ask := func(n int) {
			for i := range n {
				wg.Go(func() {
					found, err := shared.has(t.Context(), volumes, types.UID(fmt.Sprint("claim-", 1200+i%4)))
					if err != nil || found != (i%4 < 3) {
						t.Errorf("claim %d is found: %v, %v", 1200+i%4, found, err)
					}
				})
			}
			synctest.Wait()
		}
		ask(1) // The first list has begun.
		ask(200)
		close(volumes.proceed)
		wg.Wait()
		if volumes.lists.Load() != 2 || volumes.most.Load() != 1 || volumes.largest.Load() > listPage ||
			volumes.pages.Load() != 6 {
			t.Errorf(
				"%d lists, %d at once, %d pages of at most %d volumes",
				volumes.lists.Load(),
				volumes.most.Load(),
				volumes.pages.Load(),
				volumes.largest.Load(),
			)
		}
	})
}

// A list that began before the question could miss what was written in between.
func TestAListThatBeganEarlierDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		volumes := &pagedVolumes{proceed: make(chan struct{})}
		var shared claimedVolumes
		var answers [2]bool
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i], _ = shared.has(t.Context(), volumes, "claim-0") })
			synctest.Wait()
		}
		volumes.proceed <- struct{}{}
		synctest.Wait()
		volumes.n = 1 // Promised after the first question, before the answer to the second.
		volumes.proceed <- struct{}{}
		wg.Wait()
		if answers != [2]bool{false, true} {
			t.Errorf("answers are %v", answers)
		}
	})
}

func TestAFailedListOfVolumesIsTold(t *testing.T) {
	volumes := &pagedVolumes{fail: errors.New("etcd is down")}
	var shared claimedVolumes
	for range 2 {
		if _, err := shared.has(t.Context(), volumes, "claim-0"); !errors.Is(err, volumes.fail) {
			t.Errorf("error %v", err)
		}
	}
	if volumes.lists.Load() != 2 {
		t.Errorf("%d lists, want one for each question", volumes.lists.Load())
	}
}

// Who asked first may leave; the others still get their answer.
func TestTheFirstToAskMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		volumes := &pagedVolumes{n: 1, proceed: make(chan struct{})}
		var shared claimedVolumes
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := shared.has(ctx, volumes, "claim-0"); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		})
		synctest.Wait()
		leave()
		synctest.Wait()
		close(volumes.proceed)
		if found, err := shared.has(t.Context(), volumes, "claim-0"); err != nil || !found {
			t.Errorf("found %v, %v", found, err)
		}
		wg.Wait()
	})
}
