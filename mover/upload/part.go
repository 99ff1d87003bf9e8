// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/manifest"
)

// part is what came of one shard. It is written last: where it is, everything of the shard is in S3.
type part struct {
	Plan    string           `json:"plan"` // Digest.
	Shard   int              `json:"shard"`
	Entries []manifest.Entry `json:"entries"`        // As they were when they were sent.
	Gone    []string         `json:"gone,omitempty"` // Paths of files that were not there any more.

	Sent      int64 `json:"sent"`
	SentBytes int64 `json:"sentBytes"`
	Copied    int64 `json:"copied"`
	Unchanged int64 `json:"unchanged"`
	Changed   int64 `json:"changed"`
}

func (h home) part(run string, shard int) string {
	return h.runPrefix(run) + "part-" + strconv.Itoa(shard) + ".json"
}

// isOf tells that a part is of this very plan and shard, and says of each of its files, once, what became of it.
func (p part) isOf(digest string, shard int, files []manifest.Entry) bool {
	if p.Plan != digest || p.Shard != shard {
		return false
	}
	paths := slices.Clone(p.Gone)
	for _, e := range p.Entries {
		if e.Type != manifest.File {
			return false
		}
		paths = append(paths, e.Path)
	}
	slices.Sort(paths)
	return slices.EqualFunc(paths, files, func(path string, e manifest.Entry) bool { return path == e.Path })
}

// readPart is what a shard has left; false where there is none that is of this plan.
func (x *export) readPart(ctx context.Context, shard int, files []manifest.Entry) (p part, found bool, err error) {
	readable := false
	err = x.again(ctx, func(ctx context.Context) error {
		body, _, _, err := x.core.GetObject(ctx, x.bucket, x.home.part(x.options.Run, shard), minio.GetObjectOptions{})
		if err != nil {
			return err //nolint:wrapcheck // It is classified above.
		}
		defer func() { _ = body.Close() }()
		p = part{}
		from := &watched{from: body}
		readable = json.NewDecoder(from).Decode(&p) == nil
		_, _ = io.Copy(io.Discard, from)
		return from.err
	})
	if isNoSuchKey(err) {
		return part{}, false, nil
	}
	if err != nil {
		return part{}, false, fmt.Errorf("read what became of shard %d: %w", shard, err)
	}
	return p, readable && p.isOf(x.options.Plan, shard, files), nil
}

// writePart says what came of the shard that was sent.
func (x *export) writePart(ctx context.Context, shard int) error {
	text, err := json.Marshal(part{
		Plan: x.options.Plan, Shard: shard, Entries: x.scan.Entries, Gone: x.gone,
		Sent: x.result.Sent, SentBytes: x.Tally.SentBytes.Load(), Copied: x.result.Copied,
		Unchanged: x.result.Unchanged, Changed: x.result.Changed,
	})
	if err == nil {
		err = x.keep(ctx, x.home.part(x.options.Run, shard), text, false)
	}
	if err != nil {
		return fmt.Errorf("write what became of shard %d: %w", shard, err)
	}
	return nil
}

// add has the result say what a shard has done, too.
func (x *export) add(p part) {
	x.result.Sent += p.Sent
	x.result.Copied += p.Copied
	x.result.Unchanged += p.Unchanged
	x.result.Changed += p.Changed
	x.Tally.SentBytes.Add(p.SentBytes)
	x.Tally.SentObjects.Add(p.Sent)
	for _, e := range p.Entries {
		x.Tally.Objects.Add(1)
		x.Tally.Bytes.Add(e.Size)
	}
}
