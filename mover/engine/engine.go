// SPDX-License-Identifier: Apache-2.0

// Package engine is what stands between an engine, which moves bytes, and the rest of a
// mover, which decides what to move and whether what came is right.
//
// An engine is given tasks and a target and tells a sink of each task once: that its bytes
// arrived, with evidence, or why they did not. It never says that a file is verified: Judge
// compares the evidence with what S3 says of the object, and who asks it does so with the file
// that is found under the path in the end.
package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
)

// Engine brings objects to a target.
type Engine interface {
	// Fetch brings the bytes of every task, in any order and many at a time, and returns
	// once nothing of it writes any more. It tells the sink of every task at most once. The
	// error is why tasks that the sink was not told of need not be tried: what the sink
	// returned, or the cause of the context. Without an error the sink was told of all.
	Fetch(ctx context.Context, tasks Tasks, to Target, sink Sink) error
}

// Tasks are made one at a time, because a million of them are more than memory should hold.
type Tasks = iter.Seq[Task]

// Task is one object and the file it becomes.
type Task struct {
	// Index is the plan's, and is what the sink is told.
	Index int
	Key   string
	// Version of the object; empty is the current one.
	Version string
	// Path below the target, with slashes. It is no directory.
	Path string
	// ETag as S3 listed it, without quotes; empty where S3 listed none. Every request is
	// made If-Match of it.
	ETag string
	// Size in bytes, as listed.
	Size int64
	// PartSize in bytes of a multipart object whose entity tag is a digest of its parts' and
	// whose parts are known to be even; 0 where that is not known.
	PartSize int64
	// Present are ranges of the file that an earlier attempt wrote, sorted and apart. They
	// need not be fetched again, and are not trusted: an engine that skips them reads them
	// back from the file into its sum. An engine may also ignore them.
	Present []Range
}

// Range is part of an object, in bytes.
type Range = plan.Range

// Target is where files are made.
type Target interface {
	// Create opens the file of a task and makes its directories. Bytes of the task's
	// present ranges are kept, and others are undefined until they are written.
	Create(Task) (File, error)
}

// File is one file, or one device, while it is written. WriteAt and ReadAt may be called by
// several goroutines for ranges that do not overlap, the others by one alone. Exactly one
// of Commit and Abandon is called in the end.
type File interface {
	WriteAt(p []byte, offset int64) (int, error)
	ReadAt(p []byte, offset int64) (int, error)
	// Commit closes a file of which every byte was written and says which file that was. It
	// does not make it durable.
	Commit() (Identity, error)
	// Abandon closes a file that is not whole. What has arrived of it stays, for the sink
	// was told of it.
	Abandon()
}

// Identity tells a file from any other that is found under its path later.
type Identity = plan.Identity

// Sink is told what became of tasks. Its methods may be called by several goroutines.
type Sink interface {
	// Arrived tells that every byte of an object was received and written.
	Arrived(Evidence)
	// Failed tells why an object did not arrive. An error that it returns ends the engine.
	Failed(index int, err error) error
	// Wrote tells how many bytes were received and written of a task since it was last
	// told, for progress; negative for bytes that have to come again.
	Wrote(index int, bytes int64)
	// Grew tells that all of this range of a file is written, though not durable, and the
	// CRC64NVME of its bytes. It is told of large files only, of each byte once, in any order
	// and in pieces of some MiB.
	Grew(index int, r Range, crc uint64)
}

// Evidence is what an engine knows about an object that arrived.
type Evidence struct {
	Index int
	File  Identity
	// Received is the sum of the bytes that were written, those of skipped ranges included;
	// its algorithm is None where none could be computed on the way.
	Received Sum
	// Said is what S3 says the bytes should come to, in the answer that they came with or in
	// one about the whole object of the same entity tag. It is None when S3 says nothing but
	// the entity tag. A checksum of parts' checksums is nothing.
	Said Sum
	// Fetched is how many bytes of it came in this call: what the sink was told that was
	// written.
	Fetched int64
	// Pinned means that every answer named the entity tag or the version of the task: no other
	// object was read.
	Pinned bool
	// Encrypted means that S3 says that the entity tag is no digest of the content.
	Encrypted bool
}

// Algorithm of a sum.
type Algorithm uint8

// The algorithms that an engine may compute or S3 may name.
const (
	None      Algorithm = iota
	MD5                 // 16 bytes.
	MD5Parts            // 16 bytes: the MD5 of the MD5s of the parts, each of Sum.PartSize bytes but the last.
	CRC64NVME           // 8 bytes, big-endian.
	CRC32C              // 4 bytes, big-endian.
	CRC32               // 4 bytes, big-endian.
	SHA1                // 20 bytes.
	SHA256              // 32 bytes.
)

// Sum is a digest of the whole of an object. It has no pointer, because there is one for
// each of a million objects.
type Sum struct {
	Algorithm Algorithm
	PartSize  int64
	Value     [32]byte // The first bytes count, see Algorithm; the others are 0.
}

// Errors of one object that are not S3's own words.
var (
	// ErrChanged means that S3 has another object under the key than was listed, or none.
	ErrChanged = errors.New("the object was overwritten or deleted after it was listed")
	// ErrOtherTag means that S3 gives an object by another entity tag than it was listed with: it is another
	// object, or S3 contradicts itself. It is an ErrChanged.
	ErrOtherTag = fmt.Errorf("%w: its entity tag is another one", ErrChanged)
	// ErrStalled means that nothing was sent for too long.
	ErrStalled = fault.ErrStalled
	// ErrAnswer means that an answer was not the one that the request was for, such as a
	// range that was not asked for or a body of another length.
	ErrAnswer = errors.New("the answer does not fit the request")
	// ErrOtherVersion means that S3 answered about another version than was asked for.
	ErrOtherVersion = errors.New("S3 answered about another version of the object")
)
