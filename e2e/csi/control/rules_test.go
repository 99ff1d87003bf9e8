// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/s3populator/s3populator/e2e/csi/fault"
	"github.com/s3populator/s3populator/e2e/csi/store"
)

const (
	namespaceKey = "csi.storage.k8s.io/pvc/namespace"
	claimKey     = "csi.storage.k8s.io/pvc/name"
)

// bench is an interceptor before a handler that counts its work.
type bench struct {
	*Interceptor
	t      *testing.T
	worked int
}

func newBench(t *testing.T, rules ...fault.Rule) *bench {
	t.Helper()
	b := &bench{
		t: t,
		Interceptor: &Interceptor{Rules: &Rules{}, Log: slog.New(slog.DiscardHandler), Owner: func(request any) store.Owner {
			parameters := request.(*csi.CreateVolumeRequest).GetParameters()
			return store.Owner{Namespace: parameters[namespaceKey], Name: parameters[claimKey]}
		}},
	}
	for _, rule := range rules {
		if _, err := b.Rules.Add(rule); err != nil {
			t.Fatalf("add rule: %v", err)
		}
	}
	return b
}

func (b *bench) create(ctx context.Context, namespace, claim string) error {
	request := &csi.CreateVolumeRequest{
		Name:       "pvc-" + claim,
		Parameters: map[string]string{namespaceKey: namespace, claimKey: claim},
	}
	info := &grpc.UnaryServerInfo{FullMethod: csi.Controller_CreateVolume_FullMethodName}
	_, err := b.Intercept(ctx, request, info, func(context.Context, any) (any, error) {
		b.worked++
		return &csi.CreateVolumeResponse{}, nil
	})
	return err
}

func TestFailuresAreUsedUp(t *testing.T) {
	tests := map[string]struct {
		rules      []fault.Rule
		calls      [][2]string // namespace and claim.
		want       []codes.Code
		wantWorked int
	}{
		"without rules every call works": {calls: [][2]string{{"a", "x"}}, want: []codes.Code{codes.OK}, wantWorked: 1},
		"two calls fail and the third works": {
			rules: []fault.Rule{fault.Fail(fault.CreateVolume, 2, codes.Internal)},
			calls: [][2]string{{"a", "x"}, {"a", "x"}, {"a", "x"}},
			want:  []codes.Code{codes.Internal, codes.Internal, codes.OK}, wantWorked: 1,
		},
		"without a count all fail": {
			rules: []fault.Rule{fault.Fail(fault.CreateVolume, 0, codes.Internal)},
			calls: [][2]string{
				{"a", "x"},
				{"b", "y"},
				{"a", "x"},
			}, want: []codes.Code{codes.Internal, codes.Internal, codes.Internal},
		},
		"another namespace is left alone and uses nothing up": {
			rules: []fault.Rule{fault.Reschedule(1).In("a")},
			calls: [][2]string{{"b", "x"}, {"a", "x"}, {"a", "x"}},
			want:  []codes.Code{codes.OK, codes.ResourceExhausted, codes.OK}, wantWorked: 2,
		},
		"another claim is left alone": {
			rules: []fault.Rule{fault.Reschedule(1).For("a", "x")},
			calls: [][2]string{{"a", "y"}, {"a", "x"}}, want: []codes.Code{codes.OK, codes.ResourceExhausted}, wantWorked: 1,
		},
		"another method is left alone": {
			rules: []fault.Rule{fault.Fail(fault.DeleteVolume, 0, codes.Internal)},
			calls: [][2]string{{"a", "x"}}, want: []codes.Code{codes.OK}, wantWorked: 1,
		},
		"a lost answer does the work": {
			rules: []fault.Rule{{Method: fault.CreateVolume, Count: 1, Fail: codes.DeadlineExceeded, Lost: true}},
			calls: [][2]string{{"a", "x"}}, want: []codes.Code{codes.DeadlineExceeded}, wantWorked: 1,
		},
		"rules apply one after the other": {
			rules: []fault.Rule{
				fault.Fail(fault.CreateVolume, 1, codes.Internal),
				fault.Fail(fault.CreateVolume, 1, codes.Unavailable),
			},
			calls: [][2]string{{"a", "x"}, {"a", "x"}, {"a", "x"}},
			want:  []codes.Code{codes.Internal, codes.Unavailable, codes.OK}, wantWorked: 1,
		},
		"a shortfall does not disturb the call": {
			rules: []fault.Rule{{Method: fault.CreateVolume, Shortfall: 1}},
			calls: [][2]string{{"a", "x"}}, want: []codes.Code{codes.OK}, wantWorked: 1,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, test.rules...)
			var got []codes.Code
			for _, call := range test.calls {
				got = append(got, status.Code(b.create(t.Context(), call[0], call[1])))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("codes (-want +got):\n%s", diff)
			}
			if b.worked != test.wantWorked {
				t.Errorf("the driver worked %d times, want %d", b.worked, test.wantWorked)
			}
		})
	}
}

func TestHeldCallsGoOnWhenTheRuleIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, fault.Rule{Method: fault.CreateVolume, Count: 1, Hold: true})
		hasty, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := b.create(hasty, "a", "x"); status.Code(err) != codes.DeadlineExceeded {
			t.Fatalf("held call: %v, want it to wait until its deadline", err)
		}
		done := make(chan error)
		go func() { done <- b.create(t.Context(), "a", "x") }()
		synctest.Wait()
		want := fault.Count{Calls: 2, Failed: 1, Waiting: 1, Running: 1, Codes: map[string]int{"DeadlineExceeded": 1}}
		if diff := cmp.Diff(want, b.calls.in("a")[fault.CreateVolume]); diff != "" {
			t.Errorf("counts while the second call is held (-want +got):\n%s", diff)
		}
		if err := b.create(t.Context(), "a", "another"); err != nil {
			t.Errorf("another volume, which the count excludes: %v", err)
		}
		if removed := b.Rules.Remove(func(fault.Rule) bool { return true }); removed != 1 {
			t.Errorf("removed %d rules, want 1", removed)
		}
		if err := errors.Join(<-done, b.create(t.Context(), "a", "x")); err != nil {
			t.Errorf("released calls: %v", err)
		}
	})
}

func TestDelayIsServedAcrossCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, fault.Rule{Method: fault.CreateVolume, Count: 1, Delay: 15 * time.Second})
		started := time.Now()
		hasty, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := b.create(hasty, "a", "x"); status.Code(err) != codes.DeadlineExceeded {
			t.Fatalf("delayed call: %v, want it to wait until its deadline", err)
		}
		if err := b.create(t.Context(), "a", "x"); err != nil || time.Since(started) != 15*time.Second {
			t.Errorf("second caller: %v after %s, want success 15s after the first call", err, time.Since(started))
		}
		if err := b.create(t.Context(), "a", "x"); err != nil || time.Since(started) != 15*time.Second {
			t.Errorf("third caller: %v after %s, want no delay", err, time.Since(started))
		}
	})
}

func TestListShowsWhatIsLeft(t *testing.T) {
	b := newBench(t, fault.Fail(fault.CreateVolume, 2, codes.Internal), fault.Fail(fault.CreateVolume, 1, codes.Internal))
	_ = b.create(t.Context(), "a", "x")
	var left []int
	for _, rule := range b.Rules.List() {
		left = append(left, rule.Count)
	}
	if diff := cmp.Diff([]int{1, 1}, left); diff != "" {
		t.Errorf("calls left (-want +got):\n%s", diff)
	}
	_, _ = b.create(t.Context(), "a", "x"), b.create(t.Context(), "a", "x")
	if rules := b.Rules.List(); len(rules) != 0 {
		t.Errorf("rules that are used up are listed: %+v", rules)
	}
}

func TestShortfallIsForItsNamespace(t *testing.T) {
	b := newBench(t, fault.Rule{Method: fault.CreateVolume, Namespace: "a", Count: 1, Shortfall: 7})
	got := []int64{
		b.Rules.Shortfall(
			store.Owner{Namespace: "b"},
		), b.Rules.Shortfall(store.Owner{Namespace: "a"}), b.Rules.Shortfall(store.Owner{Namespace: "a"}),
	}
	if diff := cmp.Diff([]int64{0, 7, 0}, got); diff != "" {
		t.Errorf("shortfalls (-want +got):\n%s", diff)
	}
}

func TestRuleForACallThatDoesNotExistIsRefused(t *testing.T) {
	if rule, err := (&Rules{}).Add(fault.Fail("CreatVolume", 1, codes.Internal)); err == nil {
		t.Errorf("added %+v", rule)
	}
}

func TestNamedCallsExist(t *testing.T) {
	for _, method := range []string{
		fault.CreateVolume, fault.DeleteVolume, fault.CreateSnapshot, fault.DeleteSnapshot, fault.ExpandVolume,
		fault.ModifyVolume,
		fault.NodeStage, fault.NodeUnstage, fault.NodePublish, fault.NodeUnpublish, fault.NodeExpand,
	} {
		if !exists(method) {
			t.Errorf("CSI has no call %s", method)
		}
	}
}
