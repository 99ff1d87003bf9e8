// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// planned is what a run that several movers share is to export. In S3 it is a line of JSON with what is said once,
// and one for each entry.
type planned struct {
	planHeader

	entries []plannedEntry // Sorted bytewise by path.
}

// planSchema is the one that this package writes, and the only one that it reads.
const planSchema = 1

type planHeader struct {
	SchemaVersion int       `json:"schemaVersion"`
	Run           string    `json:"run"`
	Begin         time.Time `json:"begin"` // Of the scan.
	// Volume is the UID of the temporary claim that was scanned: another one is another moment.
	Volume string `json:"volume,omitempty"`
	Shards int    `json:"shards"`
	Files  int64  `json:"files"`
	Bytes  int64  `json:"bytes"`
	// What the scan came to besides entries, and what was deleted before the first write.
	Special int64 `json:"special,omitempty"`
	Unsafe  int64 `json:"unsafe,omitempty"`
	Deleted int64 `json:"deleted,omitempty"`
	Kept    int64 `json:"kept,omitempty"`
	// Unsettled are directories that changed each time that they were looked at.
	Unsettled int64 `json:"unsettled,omitempty"`
}

type plannedEntry struct {
	manifest.Entry

	Shard int `json:"shard"` // Of a file; -1 for what needs no sending.
}

func (h home) plan(run string) string { return h.runPrefix(run) + "plan.jsonl" }

// share leaves a plan for several movers, unless one is enough: it is this one, then.
func (x *export) share(ctx context.Context, todo []work) (bool, error) {
	shards, count := cut(x.weights(todo), x.options.Shards)
	if count <= 1 {
		return false, nil
	}
	var text bytes.Buffer
	lines := json.NewEncoder(&text)
	header := planHeader{
		SchemaVersion: planSchema, Run: x.options.Run, Begin: x.begin.UTC(), Volume: x.request.Volume.Temporary,
		Shards: count, Files: x.Tally.AllObjects.Load(), Bytes: x.Tally.AllBytes.Load(),
		Special: x.result.Special, Unsafe: x.result.Unsafe, Deleted: x.result.Deleted,
		Kept: x.result.Kept, Unsettled: x.scan.Unsettled,
	}
	if err := lines.Encode(header); err != nil {
		return false, fmt.Errorf("write plan: %w", err)
	}
	for i, e := range x.scan.Entries {
		e.ETag, e.Checksum = "", "" // Of what would be left as it is: its shard decides.
		if err := lines.Encode(plannedEntry{Entry: e, Shard: shards[i]}); err != nil {
			return false, fmt.Errorf("write plan: %w", err)
		}
	}
	if err := x.keep(ctx, x.home.plan(x.options.Run), text.Bytes(), false); err != nil {
		return false, fmt.Errorf("write plan: %w", err)
	}
	x.planIs(digestOf(text.Bytes()), header)
	x.result.Unchanged = 0
	x.Log("the export has %d shards", count)
	return true, nil
}

func (x *export) planIs(digest string, h planHeader) {
	x.result.Plan, x.result.Shards = digest, h.Shards
	x.result.Objects, x.result.Bytes = h.Files, h.Bytes
	x.result.Special, x.result.Unsafe, x.result.Deleted = h.Special, h.Unsafe, h.Deleted
}

func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// planHolds is how long after its scan a plan of a volume in use is followed by another attempt: what was made on the
// volume since is in no shard. The manager has the same limit for a plan that waits for its Job.
const planHolds = time.Hour

func (h planHeader) isOld() bool {
	age := time.Since(h.Begin)
	return h.Volume == "" && (age >= planHolds || age < 0)
}

// keepsPlan tells that the plan of an earlier attempt still holds: it is there, no other run has written below the
// prefix since, and the volume is a copy, or was looked at a short while ago.
func (x *export) keepsPlan(ctx context.Context) (bool, error) {
	if x.options.Step != wire.StepPlan || x.options.Plan == "" {
		return false, nil
	}
	if err := x.lookBack(ctx); err != nil || x.last.isOurs || x.last.inWay {
		return false, err
	}
	if _, begun, err := x.lookForBegun(ctx); err != nil || !begun {
		return false, err
	}
	p, err := x.readPlan(ctx, func(plannedEntry) bool { return false })
	if errors.Is(err, errNoPlan) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if p.isOld() {
		x.Log("the plan of an earlier attempt is of %s; another one is made", p.Begin.UTC().Format(time.RFC3339))
		return false, nil
	}
	x.planIs(x.options.Plan, p.planHeader)
	x.Log("the plan of an earlier attempt is kept, with %d shards", p.Shards)
	return true, nil
}

// errNoPlan means that the plan that is to be followed is not there, or another one.
var errNoPlan = errors.New("no such plan")

func (x *export) noPlan(why string) error {
	return fault.New(
		wire.VerificationFailed,
		"the plan of this export below prefix %s cannot be followed: %s; the next attempt makes another one; does "+
			"something else write there?",
		plan.Quote(x.home.base),
		why,
	).Because(errNoPlan)
}

// readPlan reads the plan with the digest that was told, and the entries that are wanted of it.
func (x *export) readPlan(ctx context.Context, wanted func(plannedEntry) bool) (p planned, err error) {
	problem := ""
	err = x.again(ctx, func(ctx context.Context) error {
		body, _, _, err := x.core.GetObject(ctx, x.bucket, x.home.plan(x.options.Run), minio.GetObjectOptions{})
		if err != nil {
			return err //nolint:wrapcheck // It is classified above.
		}
		defer func() { _ = body.Close() }()
		from, sum := &watched{from: body}, sha256.New()
		p, problem = parsePlan(io.TeeReader(from, sum), wanted)
		if from.err == nil && problem == "" && "sha256:"+hex.EncodeToString(sum.Sum(nil)) != x.options.Plan {
			problem = "it was replaced"
		}
		return from.err
	})
	switch {
	case isNoSuchKey(err):
		return planned{}, x.noPlan("it is not there")
	case err != nil:
		return planned{}, fmt.Errorf("read plan: %w", err)
	case problem != "":
		return planned{}, x.noPlan(problem)
	case p.Run != x.options.Run || p.Volume != x.request.Volume.Temporary:
		return planned{}, x.noPlan("it is of another volume")
	}
	return p, nil
}

// parsePlan reads to the end, or says what is wrong.
func parsePlan(from io.Reader, wanted func(plannedEntry) bool) (planned, string) {
	var p planned
	lines := json.NewDecoder(from)
	if err := lines.Decode(&p.planHeader); err != nil {
		return p, "its header cannot be read"
	}
	if p.SchemaVersion != planSchema {
		return p, fmt.Sprintf("its schemaVersion is %d, only %d is known", p.SchemaVersion, planSchema)
	}
	for {
		var e plannedEntry
		err := lines.Decode(&e)
		if errors.Is(err, io.EOF) {
			return p, ""
		}
		if err != nil {
			return p, "it cannot be read"
		}
		if wanted(e) {
			p.entries = append(p.entries, e)
		}
	}
}
