// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"crypto/md5" // #nosec G501 -- what S3 calls an entity tag.
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

const (
	// smallestPart in bytes: files below it are sent with one request.
	smallestPart = 16 << 20
	// mostParts is S3's limit.
	mostParts = 10_000
	// partWorkers is how many parts of one file are sent at a time. None is held in memory.
	partWorkers = 4
	// cappedPartWorkers is how many are where the bandwidth is capped, for one file at a time: they share
	// it, and the fewer they are, the sooner each is done and need not be sent again.
	cappedPartWorkers = 2
)

// partSize is that of a file: as small as S3 allows, so that little is sent twice.
func partSize(size int64) int64 {
	const step = 1 << 20
	least := (size + mostParts - 1) / mostParts
	return max(smallestPart, (least+step-1)/step*step)
}

// parted is a multipart upload under way.
type parted struct {
	*sender

	note    note
	at      string // The key of the note.
	from    content
	options minio.PutObjectOptions
	isNew   bool
	present map[int]minio.ObjectPart // What an earlier attempt has sent, as S3 lists it.
	done    []minio.ObjectPart       // By number, from 1 on.
	md5s    [][]byte                 // Of those of done that were sent with nothing but an MD5.
}

// multipart sends one object in parts. Settled is asked before the object appears; at is the key of
// the note.
func (s *sender) multipart( //nolint:revive // Each says something else of the one object.
	ctx context.Context,
	at string,
	n note,
	c content,
	o minio.PutObjectOptions,
	settled func() error,
) (object, error) {
	n.PartSize = partSize(c.size)
	result, err := (&parted{sender: s, note: n, at: at, from: c, options: o, isNew: n.isNew}).run(ctx, settled)
	if errors.Is(err, errUnconfirmed) {
		result, err = (&parted{sender: s, note: n, at: at, from: c, options: o, isNew: n.isNew}).run(ctx, settled)
	}
	return result, err
}

func (u *parted) run(ctx context.Context, settled func() error) (object, error) {
	if err := u.begin(ctx); err != nil {
		return object{}, err
	}
	err := u.send(ctx)
	if err == nil {
		if err = settled(); err != nil {
			u.Tally.Bytes.Add(-u.from.size)
		}
	}
	if errors.Is(err, errUnconfirmed) || errors.Is(err, errChanged) || errors.Is(err, errShrank) {
		return object{}, errors.Join(err, u.abandon(ctx))
	}
	if err != nil {
		return object{}, err // What was sent stays, for the next attempt.
	}
	result, err := u.complete(ctx)
	if fault.Rejected(err, http.StatusPreconditionFailed) {
		result, err = u.confirmed(ctx, u.note.Key, u.from)
		err = errors.Join(err, u.abandon(ctx))
	}
	if err != nil {
		return object{}, err
	}
	u.forgetNote(ctx)
	return result, nil
}

// forgetNote is for an upload that is complete.
func (u *parted) forgetNote(ctx context.Context) {
	var err error
	if u.note.Unnamed != nil {
		err = u.abortUnnamed(ctx, u.note, *u.note.Unnamed)
	}
	if err == nil {
		err = u.remove(ctx, u.at)
	}
	if err != nil { // The end of the run tries again, and an Abort finds no upload of that ID.
		u.Log("the note of an upload could not be removed: %v", err)
	}
}

// begin goes on with the upload of an earlier attempt, or begins one.
func (u *parted) begin(ctx context.Context) error {
	if found, err := u.resume(ctx); found || err != nil {
		return err
	}
	u.note.MD5 = u.byMD5.Load() || u.note.CopyOf != "" // Servers refuse to copy to where each part needs a checksum.
	if err := u.putJSON(ctx, u.at, u.note); err != nil {
		return fmt.Errorf("note an upload: %w", err)
	}
	o := u.options
	if !u.note.MD5 {
		o.UserMetadata = with(o.UserMetadata, "X-Amz-Checksum-Algorithm", minio.ChecksumCRC64NVME.String())
		o.UserMetadata["X-Amz-Checksum-Type"] = minio.ChecksumFullObjectMode.String()
	}
	err := u.again(ctx, func(ctx context.Context) error {
		var err error
		u.note.UploadID, err = u.core.NewMultipartUpload(ctx, u.bucket, u.note.Key, o)
		return err //nolint:wrapcheck // It is classified above.
	})
	if err != nil && !u.note.MD5 && !u.byCRC.Load() && notUnderstood(err) {
		u.byMD5.Store(true)
		return errors.Join(errUnconfirmed, err, u.remove(ctx, u.at))
	}
	if err != nil {
		return fmt.Errorf("begin an upload: %w", err)
	}
	if err := u.putJSON(ctx, u.at, u.note); err != nil {
		return fmt.Errorf("note an upload: %w", err)
	}
	return nil
}

// resume looks for an upload of the same file that an earlier attempt has begun.
func (u *parted) resume(ctx context.Context) (bool, error) {
	var before note
	since, found, err := u.getJSON(ctx, u.at, &before)
	if err != nil || !found {
		return false, err
	}
	if before.UploadID != "" && before.sameFile(u.note) {
		u.note = before
		err := u.listParts(ctx)
		if err == nil {
			return true, nil
		}
		if !isNoSuchUpload(err) {
			return false, fmt.Errorf("list parts: %w", err)
		}
	}
	u.note.Unnamed = nil
	if before.Key == u.note.Key {
		if err := u.abort(ctx, before, since); err != nil {
			return false, err
		}
		u.note.Unnamed = before.unnamedSince(since)
	}
	u.note.UploadID, u.present = "", nil
	return false, nil
}

func (u *parted) listParts(ctx context.Context) error {
	u.present = map[int]minio.ObjectPart{}
	for marker, more := 0, true; more; {
		err := u.again(ctx, func(ctx context.Context) error {
			page, err := u.core.ListObjectParts(ctx, u.bucket, u.note.Key, u.note.UploadID, marker, 1000)
			for _, p := range page.ObjectParts {
				u.present[p.PartNumber] = p
			}
			more = page.IsTruncated && page.NextPartNumberMarker > marker
			marker = page.NextPartNumberMarker
			return err //nolint:wrapcheck // The caller says what failed.
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// send sends the parts that S3 does not have.
func (u *parted) send(ctx context.Context) error {
	count := int((u.from.size + u.note.PartSize - 1) / u.note.PartSize)
	u.done, u.md5s = make([]minio.ObjectPart, count), make([][]byte, count)
	group, ctx := errgroup.WithContext(ctx)
	workers := partWorkers
	if u.limit != nil {
		workers = cappedPartWorkers
	}
	group.SetLimit(workers)
	for i := range count {
		group.Go(func() error {
			offset := int64(i) * u.note.PartSize
			c := u.from.part(offset, min(u.note.PartSize, u.from.size-offset))
			var err error
			u.done[i], err = u.part(ctx, i+1, c)
			if err == nil {
				u.Tally.Bytes.Add(c.size)
			}
			return err
		})
	}
	err := group.Wait()
	if err != nil {
		for _, p := range u.done {
			u.Tally.Bytes.Add(-p.Size)
		}
	}
	return err //nolint:wrapcheck // They are ours.
}

// part sends one part. One that changes while it is read is read again, not the whole file: of a large one
// that is written all the time, some part always does.
func (u *parted) part(ctx context.Context, number int, c content) (minio.ObjectPart, error) {
	for try := 1; ; try++ {
		p, err := u.partOnce(ctx, number, c)
		if err == nil || try == tries || !errors.Is(err, errChanged) || ctx.Err() != nil {
			return p, err
		}
	}
}

// partOnce sends one part, unless S3 has it already: what it lists is compared with the file as it is now.
func (u *parted) partOnce(ctx context.Context, number int, c content) (minio.ObjectPart, error) {
	listed, there := u.present[number]
	byTag := there && listed.ChecksumCRC64NVME == ""
	sum, err := c.sum(ctx, u.note.MD5 || byTag, !u.Secure)
	if err != nil {
		return minio.ObjectPart{}, err
	}
	if there && listed.Size == c.size && (listed.ChecksumCRC64NVME == sum.crc ||
		byTag && plan.TrimETag(listed.ETag) == hex.EncodeToString(sum.md5)) {
		return finished(number, listed.ETag, sum, c), nil
	}
	if !u.note.MD5 {
		sum.md5 = nil
	}
	return u.putPart(ctx, number, c, sum)
}

func (u *parted) putPart(ctx context.Context, number int, c content, sum sums) (minio.ObjectPart, error) {
	o := minio.PutObjectPartOptions{
		Md5Base64: sum.contentMD5(), Sha256Hex: sum.sha256, DisableContentSha256: true,
	}
	var sent minio.ObjectPart
	err := u.sendBody(ctx, c, func(b *body) error {
		o.CustomHeader = http.Header{}
		if !u.note.MD5 {
			o.CustomHeader.Set(crcHeader, sum.crc)
		}
		var err error
		sent, err = u.core.PutObjectPart(b.ctx, u.bucket, u.note.Key, u.note.UploadID, number, b, c.size, o)
		return err //nolint:wrapcheck // It is classified above.
	})
	if err := u.judge(err, sent.ChecksumCRC64NVME, sum, u.note.MD5); err != nil {
		return minio.ObjectPart{}, fmt.Errorf("send a part: %w", err)
	}
	u.Tally.SentBytes.Add(c.size)
	u.md5s[number-1] = sum.md5
	return finished(number, sent.ETag, sum, c), nil
}

// confirmTags compares the entity tags of parts with what was sent, when the object is there: of a part S3 does not
// say whether its tag is a digest.
func (u *parted) confirmTags(ctx context.Context) error {
	for i, p := range u.done {
		if sum := u.md5s[i]; sum != nil && len(p.ETag) == hex.EncodedLen(len(sum)) && p.ETag != hex.EncodeToString(sum) {
			return u.confirmTag(ctx, u.note.Key, p.ETag, sum)
		}
	}
	return nil
}

func finished(number int, etag string, sum sums, c content) minio.ObjectPart {
	return minio.ObjectPart{PartNumber: number, ETag: plan.TrimETag(etag), Size: c.size, ChecksumCRC64NVME: sum.crc}
}

// complete makes the object of the parts, and has S3 confirm the sum of all of it.
func (u *parted) complete(ctx context.Context) (object, error) {
	sum, err := whole(u.done)
	if err != nil {
		return object{}, err
	}
	info, err := u.putTogether(ctx, sum)
	if isNoSuchUpload(err) { // Completed by a request whose answer was lost, perhaps.
		return u.completed(ctx, sum, err)
	}
	if err != nil {
		return object{}, fmt.Errorf("complete an upload: %w", err)
	}
	result := object{etag: plan.TrimETag(info.ETag)}
	switch info.ChecksumCRC64NVME {
	case sum:
		result.checksum = checksumName + sum
	case "": // Each of its parts was confirmed, or is now.
		return result, u.confirmTags(ctx)
	default:
		return object{}, fault.New(
			wire.VerificationFailed,
			"S3 has put the parts of %s together to other bytes: it says %s%s, the file %s",
			plan.Quote(u.note.Key),
			checksumName,
			plan.Quote(info.ChecksumCRC64NVME),
			sum,
		)
	}
	return result, nil
}

// putTogether has S3 make the object of its parts, which is to have a sum; empty where that is not known.
func (u *parted) putTogether(ctx context.Context, sum string) (info minio.UploadInfo, err error) {
	parts := make([]minio.CompletePart, 0, len(u.done))
	for _, p := range u.done {
		part := minio.CompletePart{PartNumber: p.PartNumber, ETag: p.ETag}
		if !u.note.MD5 {
			part.ChecksumCRC64NVME = p.ChecksumCRC64NVME
		}
		parts = append(parts, part)
	}
	var o minio.PutObjectOptions
	if !u.note.MD5 && sum != "" {
		o.UserMetadata = map[string]string{crcHeader: sum, "X-Amz-Checksum-Type": minio.ChecksumFullObjectMode.String()}
	}
	plain := o
	if u.isNew && !u.unconditional.Load() {
		o.SetMatchETagExcept("*")
	}
	err = u.again(ctx, func(ctx context.Context) error {
		info, err = u.core.CompleteMultipartUpload(ctx, u.bucket, u.note.Key, u.note.UploadID, parts, o)
		return err //nolint:wrapcheck // It is classified above.
	})
	if u.isNew && fault.Rejected(err, http.StatusNotImplemented) && !u.unconditional.Swap(true) {
		info, err = u.core.CompleteMultipartUpload(ctx, u.bucket, u.note.Key, u.note.UploadID, parts, plain)
	}
	return info, err //nolint:wrapcheck // The caller says what failed.
}

// completed looks at the object of an upload that is not there any more.
func (u *parted) completed(ctx context.Context, sum string, cause error) (object, error) {
	info, err := u.stat(ctx, u.note.Key, minio.StatObjectOptions{Checksum: true})
	result := object{etag: plan.TrimETag(info.ETag)}
	switch {
	case err != nil || info.Size != u.from.size:
	case info.ChecksumCRC64NVME == sum:
		result.checksum = checksumName + sum
		return result, nil
	case u.note.MD5 && result.etag == tagOfParts(u.done):
		return result, u.confirmTags(ctx)
	}
	return object{}, fault.New(
		wire.TransferFailed,
		"the upload of %s was ended by somebody else",
		plan.Quote(u.note.Key),
	).Because(
		cause,
	)
}

// tagOfParts is the entity tag of an object that is made of parts whose entity tags are their MD5s; else empty.
func tagOfParts(parts []minio.ObjectPart) string {
	outer := md5.New() // #nosec G401
	for _, p := range parts {
		sum, err := hex.DecodeString(p.ETag)
		if err != nil || len(sum) != md5.Size {
			return ""
		}
		_, _ = outer.Write(sum) // A hash never fails.
	}
	return fmt.Sprintf("%x-%d", outer.Sum(nil), len(parts))
}

// abandon gives up an upload whose parts are of no use.
func (u *parted) abandon(ctx context.Context) error {
	if u.note.UploadID == "" {
		return nil
	}
	if err := u.abortUpload(ctx, u.note.Key, u.note.UploadID); err != nil {
		return err
	}
	return u.remove(ctx, u.at)
}

func isNoSuchUpload(err error) bool { return minio.ToErrorResponse(err).Code == minio.NoSuchUpload }
