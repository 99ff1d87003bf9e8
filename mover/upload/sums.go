// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"crypto/md5" // #nosec G501 -- what S3 calls Content-MD5.
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/minio/crc64nvme"
	"github.com/minio/minio-go/v7"
)

// errShrank means that a file became shorter while it was read.
var errShrank = errors.New("the file became shorter while it was read")

// content is what is sent: a file, a piece of memory, or a part of either. It is read twice: once
// for its sums, which are sent before it, and once more while it is sent.
type content struct {
	from         io.ReaderAt
	offset, size int64
}

func (c content) part(offset, size int64) content {
	return content{from: c.from, offset: c.offset + offset, size: size}
}

// sums are what S3 is told about the bytes that follow.
type sums struct {
	crc    string // Base64 of the CRC64NVME; it is always there.
	md5    []byte // nil where it is not needed.
	sha256 string // Hexadecimal, for the signature of a request without TLS; empty where it is not needed.
}

func (s sums) contentMD5() string {
	if s.md5 == nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(s.md5)
}

// checksumName begins a checksum in a manifest.
const checksumName = "CRC64NVME:"

// crcHeader is the header of S3 for it.
var crcHeader = minio.ChecksumCRC64NVME.Key()

var readBuffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// sum reads the content once.
func (c content) sum(ctx context.Context, withMD5, withSHA256 bool) (sums, error) {
	crc := crc64nvme.New()
	all := []hash.Hash{crc}
	var m, s hash.Hash
	if withMD5 {
		m = md5.New() // #nosec G401
		all = append(all, m)
	}
	if withSHA256 {
		s = sha256.New()
		all = append(all, s)
	}
	if err := c.read(ctx, all); err != nil {
		return sums{}, err
	}
	result := sums{crc: base64.StdEncoding.EncodeToString(crc.Sum(nil))}
	if m != nil {
		result.md5 = m.Sum(nil)
	}
	if s != nil {
		result.sha256 = hex.EncodeToString(s.Sum(nil))
	}
	return result, nil
}

func (c content) read(ctx context.Context, into []hash.Hash) error {
	buffer, _ := readBuffers.Get().(*[]byte)
	defer readBuffers.Put(buffer)
	for at := int64(0); at < c.size; {
		if err := context.Cause(ctx); err != nil {
			return err //nolint:wrapcheck // Why the mover is to end.
		}
		want := min(int64(len(*buffer)), c.size-at)
		n, err := c.from.ReadAt((*buffer)[:want], c.offset+at)
		for _, h := range into {
			h.Write((*buffer)[:n])
		}
		at += int64(n)
		if errors.Is(err, io.EOF) && at < c.size {
			return errShrank
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the file: %w", err)
		}
	}
	return nil
}

// whole combines the sums of parts to that of all of them.
func whole(parts []minio.ObjectPart) (string, error) {
	sum, err := minio.ChecksumCRC64NVME.FullObjectChecksum(parts)
	if err != nil {
		return "", fmt.Errorf("combine checksums: %w", err)
	}
	return sum.Encoded(), nil
}
