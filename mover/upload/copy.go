// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// largestCopy in bytes is what S3 copies with one request. It answers when all is copied, so that a larger one might
// arrive when nobody waits for it any more; of those it copies parts.
const largestCopy = 64 << 20

// copyTries is how often a copy is asked for: under load S3 refuses some, and one that ends an attempt ends it for all.
const copyTries = 8

// copyFile has S3 copy the object of a file from the last complete run. False means that it cannot,
// or that the copy is not proven to be the same; the file is sent then.
func (x *export) copyFile(ctx context.Context, e manifest.Entry) (object, bool, error) {
	before, found := x.last.there.Find(e.Path)
	if !found || x.copiesFail.Load() {
		return object{}, false, nil
	}
	if err := x.mayCopy(ctx); err != nil {
		return object{}, false, err
	}
	isNew, err := x.mustBeNew(ctx, e, true) // S3 copies over whatever is there.
	if err != nil {
		return object{}, false, err
	}
	if before.Size > largestCopy {
		return x.copyParts(ctx, before, x.key(e), isNew)
	}
	return x.copyObject(ctx, before, x.key(e))
}

// copyObject has S3 copy with one request.
func (x *export) copyObject(ctx context.Context, before manifest.Entry, key string) (object, bool, error) {
	to := minio.CopyDestOptions{
		Bucket: x.bucket, Object: key, Encryption: x.encryption(),
		ReplaceTags: true, UserTags: x.options.Tags, // Else it has those of the last run.
	}
	if !x.byMD5.Load() {
		to.ChecksumType = minio.ChecksumCRC64NVME
	}
	metadata := x.putOptions().UserMetadata // Else it has those of the last run.
	if c := x.options.StorageClass; c != "" {
		metadata = with(metadata, "X-Amz-Storage-Class", c)
	}
	if metadata != nil {
		to.ReplaceMetadata, to.UserMetadata, to.ContentType = true, metadata, "application/octet-stream"
	}
	from := minio.CopySrcOptions{Bucket: x.bucket, Object: x.options.CopyFrom + before.Path, MatchETag: before.ETag}
	var info minio.UploadInfo
	var forbidden, lost error
	err := x.times(ctx, repeats{copyTries, x.Pause, x.Pause * 2}, func(ctx context.Context) error {
		forbidden = x.mayCopy(ctx) // The try before may have taken long.
		if forbidden != nil {
			return forbidden
		}
		var err error
		info, err = x.Once.CopyObject(ctx, to, from)
		err = x.toldOf(info, err)
		if x.unanswered(ctx, err) {
			lost = err
		}
		return err //nolint:wrapcheck // It is classified above.
	})
	switch {
	case forbidden != nil:
		return object{}, false, forbidden
	case err == nil:
		o, proven, err := x.provenCopy(ctx, before, key, info)
		if lost == nil || proven || err != nil { // What was lost copies the same.
			return o, proven, err
		}
	case lost == nil:
		return object{}, false, x.cannotCopy(ctx, before, err)
	}
	return object{}, false, x.forgoCopies(ctx, before, lost)
}

// toldOf has an answer that does not say what became of the copy be none: S3 begins to answer before it has copied, and
// what is between may end that as if it were all. An error of S3 has a name.
func (x *export) toldOf(info minio.UploadInfo, err error) error {
	var answer minio.ErrorResponse
	switch {
	case err == nil && (info.ETag != "" || !info.LastModified.IsZero()):
		return nil
	case err == nil, errors.As(err, &answer) && answer.StatusCode == http.StatusOK && answer.XMLName.Local == "":
		return fault.New(wire.EndpointUnreachable, "%s has begun to answer a copy, and has not said what became of it; is "+
			"there a proxy between?", x.Faults.Where()).Because(err)
	}
	return err
}

// unanswered tells that S3 may do what it was asked for at any time from now on.
func (x *export) unanswered(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	if unasked(err) {
		return false
	}
	f := x.Faults.Classify(err)
	return passes(x.Faults, err) && f.Reason != wire.Throttled && !errors.Is(f, fault.ErrExpired)
}

// unasked tells that there was no connection by which S3 could have been asked.
func unasked(err error) bool {
	var of *net.OpError
	return errors.As(err, &of) && of.Op == "dial"
}

// forgoCopies ends the attempt for a copy that nobody knows the end of: what is sent to its key now, it may replace.
// The next attempt looks at what is there, and has nothing copied, or it might end in the same way.
func (x *export) forgoCopies(ctx context.Context, before manifest.Entry, err error) error {
	x.Log("S3 gave no answer to a copy of %s; the next attempt sends what is not there", plan.Quote(before.Path))
	mark := begunMark{Run: x.options.Run, Begun: x.begin}
	return errors.Join(err, x.putJSON(ctx, x.home.noCopies(x.options.Run), mark))
}

// noCopies is the key of the mark that nothing is to be copied for a run any more.
func (h home) noCopies(run string) string { return h.runPrefix(run) + "no-copies.json" }

// lookForCopies leaves the last run alone where S3 gave no answer to an attempt before.
func (x *export) lookForCopies(ctx context.Context) error {
	if x.options.CopyFrom == "" {
		return nil
	}
	var mark begunMark
	_, found, err := x.getJSON(ctx, x.home.noCopies(x.options.Run), &mark)
	if found {
		x.last.there = last{}
		x.Log("S3 gave an attempt before no answer to a copy; nothing is copied")
	}
	return err
}

// cannotCopy returns what sending the file would not help against. S3 may copy nothing at all: what it
// archives, or what these keys may not read.
func (x *export) cannotCopy(ctx context.Context, before manifest.Entry, err error) error {
	switch {
	case ctx.Err() != nil, x.Faults.Classify(err).Reason == wire.Throttled, unasked(err):
		return err
	case isNoSuchKey(err), fault.Rejected(err, http.StatusPreconditionFailed):
		return nil // This one is not there any more, or another one.
	}
	x.saidCopy.Do(func() {
		x.Log("S3 cannot copy %s, perhaps others, too, which are sent instead: %v", plan.Quote(before.Path), err)
	})
	return nil
}

// provenCopy tells whether what S3 says of a copy proves it to be the same.
func (x *export) provenCopy(
	ctx context.Context,
	before manifest.Entry,
	key string,
	info minio.UploadInfo,
) (object, bool, error) {
	result := object{etag: plan.TrimETag(info.ETag)}
	sum, known := strings.CutPrefix(before.Checksum, checksumName)
	if known && info.ChecksumCRC64NVME == sum {
		result.checksum = before.Checksum
	}
	if result.checksum != "" || result.etag == before.ETag || !known {
		return result, result.checksum != "" || result.etag == before.ETag, nil
	}
	// A copy of parts has another entity tag. Some servers tell its checksum only when asked.
	head, err := asker{x}.Head(ctx, key, minio.StatObjectOptions{Checksum: true})
	if isNoSuchKey(err) {
		return object{}, false, nil
	}
	if err != nil || plan.TrimETag(head.ETag) != result.etag || head.ChecksumCRC64NVME != sum {
		return object{}, false, err
	}
	result.checksum = before.Checksum
	return result, true, nil
}
