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
func (m *mover) objects(
	ctx context.Context,
	list []plan.Entry,
	from int64,
	share int,
	read func(io.Reader) error,
) error {
	if plan.Direct(m.request.Source) {
		return m.source.Cat(ctx, m.plan, list, source.Cat{
			From:           from,
			BytesPerSecond: m.bandwidth(share),
			IdleTimeout:    m.options.IdleTimeout,
		}, read)
	}
	keys := make([]string, 0, len(list))
	for _, e := range list {
		keys = append(keys, e.Key)
	}
	return m.mc.Cat(ctx, keys, from, m.bandwidth(share), read)
}
