// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"log/slog"
	"path"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/s3populator/s3populator/e2e/csi/fault"
	"github.com/s3populator/s3populator/e2e/csi/store"
)

// Interceptor applies the rules to each CSI call, counts it and logs it. Requests are never logged:
// they can carry secrets.
type Interceptor struct {
	// Rules are the disturbances to apply.
	Rules *Rules
	// Owner finds who the volume or snapshot of a request is for.
	Owner func(request any) store.Owner
	// Log takes one line for each call.
	Log *slog.Logger

	calls calls
}

// Intercept is a gRPC server interceptor.
func (i *Interceptor) Intercept(
	ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (response any, err error) {
	c := call{method: path.Base(info.FullMethod), volume: volumeOf(request), owner: i.Owner(request)}
	started := time.Now()
	i.calls.change(c, begin)
	defer func() {
		i.calls.change(c, end(status.Code(err)))
		i.log(ctx, c, time.Since(started), err)
	}()
	rule := i.Rules.take(c, func(r fault.Rule) bool { return r.Hold || r.Delay > 0 || r.Fail != codes.OK })
	if rule == nil {
		return handler(ctx, request)
	}
	if err := i.wait(ctx, c, rule); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	if rule.Fail == codes.OK {
		return handler(ctx, request)
	}
	if rule.Lost {
		if _, err := handler(ctx, request); err != nil {
			return nil, err
		}
	}
	return nil, status.Error(rule.Fail, rule.Text())
}

func (i *Interceptor) wait(ctx context.Context, c call, rule *active) error {
	if !rule.Hold && rule.Delay == 0 {
		return nil
	}
	i.calls.change(c, func(count *fault.Count) { count.Waiting++ })
	defer i.calls.change(c, func(count *fault.Count) { count.Waiting-- })
	return i.Rules.wait(ctx, rule, c.volume)
}

func (i *Interceptor) log(ctx context.Context, c call, took time.Duration, err error) {
	level := slog.LevelDebug
	if err != nil {
		level = slog.LevelWarn
	}
	i.Log.Log(
		ctx,
		level,
		"CSI call",
		"method",
		c.method,
		"volume",
		c.volume,
		"namespace",
		c.owner.Namespace,
		"claim",
		c.owner.Name,
		"took",
		took,
		"code",
		status.Code(err),
		"err",
		status.Convert(err).Message(),
	)
}

// volumeOf is the id of the volume or snapshot that a request is about, or the name it is to get its id from.
func volumeOf(request any) string {
	switch r := request.(type) {
	case interface{ GetVolumeId() string }:
		return r.GetVolumeId()
	case interface{ GetSnapshotId() string }:
		return r.GetSnapshotId()
	case interface{ GetName() string }:
		return store.ID(r.GetName())
	default:
		return ""
	}
}
