// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Class says what happens after a mover ended.
type Class string

// The classes of a report and their exit codes: 0, 2, 3 and 4. An exit with any
// other code, or without a readable report, is treated as Retry.
const (
	Done Class = "Done"
	// User means that nothing will change until a person acts.
	User Class = "User"
	// Retry means that the same request may succeed later. It counts towards spec.retries.limit.
	Retry Class = "Retry"
	// RetryUncounted is Retry that does not count: the attempt made progress, or S3 throttles
	// or cannot be reached, which is waited out.
	RetryUncounted Class = "RetryUncounted"
)

// ExitCode is what the mover's process returns for the class.
func (c Class) ExitCode() int {
	switch c {
	case Done:
		return 0
	case User:
		return 2
	case Retry:
		return 3
	case RetryUncounted:
		return 4
	}
	return 3
}

// Again reports whether a further attempt with the same request may succeed.
func (c Class) Again() bool { return c == Retry || c == RetryUncounted }

// Report is a mover's last word, its pod's termination message.
type Report struct {
	Class Class `json:"class"`
	// Reason is empty when the class is Done.
	Reason Reason `json:"reason,omitempty"`
	// Message is a sentence for a user: what is wrong, with the numbers, and what to change.
	Message string `json:"message,omitempty"`
	// Objects and Bytes are those of the source after filters; for an Export, of all that is exported,
	// whether it was sent, copied or found unchanged.
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
	// SizeOnlyObjects are those of Objects of which nothing but the size was compared, because S3 gave nothing that
	// depends on their content, or spec.transfer.verify asks for no more. Of a Populate or an Import that is Done.
	SizeOnlyObjects int64 `json:"sizeOnlyObjects,omitempty"`
	// Links are the symbolic links of an Export, which are in its manifest and no objects.
	Links int64 `json:"links,omitempty"`
	// FetchedBytes were read from S3 by this attempt; the rest was verified from earlier ones.
	FetchedBytes int64 `json:"fetchedBytes,omitempty"`
	// Engine that moved the bytes, for a Populate EngineMC or EngineNative, for an Import EngineNative.
	Engine string `json:"engine,omitempty"`
	// Bottleneck is what held the transfer up; empty where that is not known, or it was short.
	Bottleneck Bottleneck `json:"bottleneck,omitempty"`
	// SkippedKeys counts unsafe keys left out because the policy is Skip. For an Export they are paths, and directories of
	// the storage at the root of the volume that are not empty.
	SkippedKeys int64   `json:"skippedKeys,omitempty"`
	Seconds     float64 `json:"seconds"`
	// Progressed means that this attempt verified an object that no attempt before it had
	// verified, or made durable more of a large one than any before it. The class of an
	// attempt that progressed is never Retry.
	Progressed bool `json:"progressed,omitempty"`
	// Began means that the volume passed the check for foreign content and is being written:
	// whatever is on it is ours until it is complete. The manager hands it on as Request.Volume.Began.
	Began bool `json:"began,omitempty"`
	// Held means that the volume holds something that this mover could not prove to be ours,
	// whatever its reason is, so that the volume must outlive its claim. Never with Began.
	Held bool `json:"held,omitempty"`
	// Shared means that another claim may have the volume too: its journal is there, or ours went while this mover
	// wrote. What is on the volume may be that claim's, whatever movers of this one have written, also with Began.
	Shared bool `json:"shared,omitempty"`
	// Arrived is what is on a Block volume that is not complete. The manager hands it on as Request.Volume.Arrived; nil
	// means that the mover does not know.
	Arrived *Arrived `json:"arrived,omitempty"`
	// RequiredBytes is the size in bytes of a volume that would have held the source, for
	// VolumeTooSmall and VolumeOutOfInodes; 0 where the mover could not tell.
	RequiredBytes int64 `json:"requiredBytes,omitempty"`
	// ManifestDigest is "sha256:" + hex over the sorted lines path\tsize\tetag\n.
	// For an Export it is the digest that a population of the prefix will have.
	ManifestDigest string `json:"manifestDigest,omitempty"`

	// UnchangedObjects were there already and left alone, of an Export or an Import.
	UnchangedObjects int64 `json:"unchangedObjects,omitempty"`
	// RemovedFiles were removed from the volume by this attempt for deleteExtra of an Import.
	RemovedFiles int64 `json:"removedFiles,omitempty"`

	// The rest is of an Export only. SentObjects and SentBytes were sent to S3 by this attempt.
	SentObjects int64 `json:"sentObjects,omitempty"`
	SentBytes   int64 `json:"sentBytes,omitempty"`
	// CopiedObjects were copied by S3 from the last complete run.
	CopiedObjects int64 `json:"copiedObjects,omitempty"`
	// DeletedObjects were removed for deleteExtra, or by this attempt of a Prune.
	DeletedObjects int64 `json:"deletedObjects,omitempty"`
	// SpecialFiles are sockets, FIFOs and devices, which are not exported.
	SpecialFiles int64 `json:"specialFiles,omitempty"`
	// OtherObjects are below the prefix and not of this export. A population of the prefix loads them, too. For a
	// Prune they are those that the run's manifest lists and that stay, because they are not of that run alone.
	OtherObjects int64 `json:"otherObjects,omitempty"`
	// Whole means that a Prune has removed nothing, nor did one before it: the run is as complete as it was.
	Whole bool `json:"whole,omitempty"`
	// AbortedUploads are the multipart uploads that an Abort has ended.
	AbortedUploads int64 `json:"abortedUploads,omitempty"`
	// ChangedFiles changed while they were read, the second time too: their objects may hold a mixture.
	ChangedFiles int64 `json:"changedFiles,omitempty"`
	// GoneFiles were not there any more, or not under their names, when they were to be read, and directories changed
	// each time that they were looked at: something else wrote to the volume.
	GoneFiles int64 `json:"goneFiles,omitempty"`
	// Plan is the digest of the plan that a StepPlan has left, and Shards how many it has. Without one the
	// export is complete.
	Plan   string `json:"plan,omitempty"`
	Shards int32  `json:"shards,omitempty"`
}

// Bottleneck is what a transfer waited for most.
type Bottleneck string

// The bottlenecks of a transfer.
const (
	BottleneckServer    Bottleneck = "Server"    // S3 took its time to answer.
	BottleneckNetwork   Bottleneck = "Network"   // The bytes of answers came slowly.
	BottleneckCPU       Bottleneck = "CPU"       // The mover had no processor left.
	BottleneckDisk      Bottleneck = "Disk"      // The volume took its time to write.
	BottleneckThrottled Bottleneck = "Throttled" // S3 asked for less, or spec.transfer.bandwidth did.
)

// Bottlenecks are all that there are.
func Bottlenecks() []Bottleneck {
	return []Bottleneck{BottleneckServer, BottleneckNetwork, BottleneckCPU, BottleneckDisk, BottleneckThrottled}
}

// Encode renders the report in at most MaxReportBytes, shortening the message when it must.
func (r Report) Encode() []byte {
	for {
		b, err := json.Marshal(r)
		if err != nil { // Only a NaN in Seconds could do that.
			r.Seconds = 0
			continue
		}
		over := len(b) - MaxReportBytes
		if over <= 0 {
			return b
		}
		r.Message = shorten(r.Message, max(0, len(r.Message)-over-len("…")))
	}
}

func shorten(s string, n int) string {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// ParseReport reads a termination message.
func ParseReport(message string) (Report, error) {
	var r Report
	if err := json.Unmarshal([]byte(message), &r); err != nil {
		return Report{}, fmt.Errorf("parse report: %w", err)
	}
	if r.Class != Done && r.Class != User && !r.Class.Again() {
		return Report{}, fmt.Errorf("parse report: unknown class %q", r.Class)
	}
	if r.Arrived.Check() != nil { // It only saves time.
		r.Arrived = nil
	}
	return r, nil
}

// Phase is what a mover is busy with.
type Phase string

// The phases of a mover, in order. Any but Listing means that the mover has begun, see Report.
// For an Export, Listing is the scan of the volume, and Syncing does not occur.
const (
	Listing      Phase = "Listing"
	Transferring Phase = "Transferring"
	Verifying    Phase = "Verifying"
	Syncing      Phase = "Syncing"
)

// Snapshot is one progress message: a POST of JSON to Progress.URL + ProgressPath with
// the token of ProgressToken as bearer. Totals are zero while listing.
type Snapshot struct {
	Phase        Phase `json:"phase"`
	ObjectsDone  int64 `json:"objectsDone"`
	ObjectsTotal int64 `json:"objectsTotal"`
	BytesDone    int64 `json:"bytesDone"`
	BytesTotal   int64 `json:"bytesTotal"`
	// BytesPerSecond is a moving average over the last seconds.
	BytesPerSecond int64 `json:"bytesPerSecond"`
	// Arrived is what is on a Block volume; nil where the mover does not know.
	Arrived *Arrived `json:"arrived,omitempty"`
}

// ParseSnapshot reads a progress message and refuses impossible numbers: it comes from a tenant's pod.
func ParseSnapshot(body []byte) (Snapshot, error) {
	var s Snapshot
	if err := decodeStrict(string(body), &s); err != nil {
		return Snapshot{}, fmt.Errorf("parse progress: %w", err)
	}
	if s.Phase != Listing && s.Phase != Transferring && s.Phase != Verifying && s.Phase != Syncing {
		return Snapshot{}, fmt.Errorf("parse progress: unknown phase %q", s.Phase)
	}
	if s.ObjectsDone < 0 || s.ObjectsTotal < 0 || s.BytesDone < 0 || s.BytesTotal < 0 || s.BytesPerSecond < 0 {
		return Snapshot{}, fmt.Errorf("parse progress: negative number")
	}
	if err := s.Arrived.Check(); err != nil {
		return Snapshot{}, fmt.Errorf("parse progress: %w", err)
	}
	return s, nil
}

func decodeStrict(s string, into any) error {
	d := json.NewDecoder(strings.NewReader(s))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	var rest bytes.Buffer
	if _, err := io.Copy(&rest, d.Buffered()); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if len(bytes.TrimSpace(rest.Bytes())) > 0 {
		return fmt.Errorf("decode: data after the JSON object")
	}
	return nil
}
