// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
)

// copyWorkers is how many parts of one object S3 copies at a time. None of them comes by here.
const copyWorkers = 8

// partTries is how often the copy of a part is asked for. The client repeats each, too, which does no harm: a late one
// is of an upload that is complete, or ended.
const partTries = 2

// errNoCopy means that S3 has begun to answer before it had copied, and then did not.
var errNoCopy = errors.New("S3 has not copied the part")

// copyParts has S3 copy a large object as the parts of an upload, each of which it answers soon. One that nobody waited
// for comes to nothing when it arrives: the upload is complete, or was ended, and takes no part any more. The parts are
// those in which the file was sent, so that the copy has the same entity tag where that is a digest.
func (x *export) copyParts(
	ctx context.Context,
	before manifest.Entry,
	key string,
	isNew bool,
) (object, bool, error) {
	n := note{
		Key: key, Size: before.Size, PartSize: partSize(before.Size), isNew: isNew,
		CopyOf: x.options.CopyFrom + before.Path, CopyTag: before.ETag,
	}
	u := &parted{
		sender: x.sender, note: n, at: x.home.note(x.options.Run, key), from: content{size: before.Size},
		options: x.putOptions(), isNew: isNew,
	}
	if err := u.begin(ctx); err != nil {
		return object{}, false, err
	}
	defer func() { // The file is counted when it is known what became of it.
		for _, p := range u.done {
			x.Tally.Bytes.Add(-p.Size)
		}
	}()
	if err := u.copyAll(ctx); err != nil {
		if x.unanswered(ctx, err) {
			x.copiesFail.Store(true)
		}
		return object{}, false, x.instead(ctx, u, before, err)
	}
	info, err := u.completeCopy(ctx, before)
	if x.unanswered(ctx, err) {
		return object{}, false, err // The next attempt goes on with the upload, or ends it, before anything is sent.
	}
	if err != nil {
		return object{}, false, x.instead(ctx, u, before, err)
	}
	u.forgetNote(ctx)
	result, ok, err := x.provenCopy(ctx, before, key, info)
	if ok && result.checksum == "" && info.ChecksumCRC64NVME == "" { // The tag of the same parts is the proof.
		result.checksum = before.Checksum
	}
	return result, ok, err
}

// instead ends an upload for which the file is sent, or returns why that would not help.
func (x *export) instead(ctx context.Context, u *parted, before manifest.Entry, err error) error {
	if fault.ReasonOf(err) != "" {
		return errors.Join(err, u.abandon(ctx))
	}
	if err := x.cannotCopy(ctx, before, err); err != nil {
		return err // What was copied stays, for the next attempt.
	}
	return u.abandon(ctx)
}

// copyAll has S3 copy the parts that it does not have.
func (u *parted) copyAll(ctx context.Context) error {
	size := u.note.PartSize
	u.done = make([]minio.ObjectPart, (u.from.size+size-1)/size)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(copyWorkers)
	for i := range u.done {
		group.Go(func() error {
			c := u.from.part(int64(i)*size, min(size, u.from.size-int64(i)*size))
			var err error
			if u.done[i], err = u.copyPart(ctx, i+1, c); err == nil {
				u.Tally.Bytes.Add(c.size)
			}
			return err
		})
	}
	return group.Wait() //nolint:wrapcheck // They are classified above.
}

// copyPart copies one part. One of this upload is of the same object and of the same bytes of it.
func (u *parted) copyPart(ctx context.Context, number int, c content) (minio.ObjectPart, error) {
	if listed, there := u.present[number]; there && listed.Size == c.size {
		return finished(number, listed.ETag, sums{crc: listed.ChecksumCRC64NVME}, c), nil
	}
	only := map[string]string{"x-amz-copy-source-if-match": u.note.CopyTag}
	var part minio.CompletePart
	err := u.times(ctx, repeats{partTries, u.Pause, u.Pause * 2}, func(ctx context.Context) error {
		var err error
		part, err = u.core.CopyObjectPart(ctx, u.bucket, u.note.CopyOf, u.bucket, u.note.Key, u.note.UploadID, number,
			c.offset, c.size, only)
		return err //nolint:wrapcheck // It is classified above.
	})
	if err == nil && part.ETag == "" {
		err = errNoCopy
	}
	if err != nil {
		return minio.ObjectPart{}, err
	}
	return finished(number, part.ETag, sums{crc: part.ChecksumCRC64NVME}, c), nil
}

// completeCopy makes the object of the copied parts. The answer to that may be lost, and then S3 says that there is no
// such upload, or an object already.
func (u *parted) completeCopy(ctx context.Context, before manifest.Entry) (minio.UploadInfo, error) {
	sum, _ := strings.CutPrefix(before.Checksum, checksumName)
	info, err := u.putTogether(ctx, "")
	exists := fault.Rejected(err, http.StatusPreconditionFailed)
	if !exists && !isNoSuchUpload(err) {
		return info, err
	}
	there, headErr := u.stat(ctx, u.note.Key, minio.StatObjectOptions{Checksum: true})
	if headErr != nil && !isNoSuchKey(headErr) {
		return info, headErr
	}
	etag := plan.TrimETag(there.ETag)
	switch {
	case headErr == nil && there.Size == before.Size &&
		(etag == before.ETag || sum != "" && there.ChecksumCRC64NVME == sum):
		return minio.UploadInfo{ETag: etag, ChecksumCRC64NVME: there.ChecksumCRC64NVME}, u.abandon(ctx)
	case headErr == nil && exists:
		return info, existsAlready(u.note.Key)
	}
	return info, err
}
