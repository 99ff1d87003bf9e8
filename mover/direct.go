// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"io"

	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/source"
)

// objects gives read the bytes of some objects, one after the other, the first one from an
// offset on. The error belongs to the first object that did not arrive whole.
func (f *fetcher) objects(
	ctx context.Context,
	list []plan.Entry,
	from int64,
	share int,
	read func(io.Reader) error,
) error {
	if plan.Direct(f.request.Source) {
		return f.source.Cat(ctx, f.listing.plan, list, source.Cat{
			From:           from,
			BytesPerSecond: f.bandwidth(share),
			IdleTimeout:    f.idleTimeout,
		}, read)
	}
	keys := make([]string, 0, len(list))
	for _, e := range list {
		keys = append(keys, e.Key)
	}
	return f.mc.Cat(ctx, keys, from, f.bandwidth(share), read)
}
