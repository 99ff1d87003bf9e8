// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/s3populator/s3populator/e2e/story"
)

// shape is an object before it has content. Seed and size decide every byte of it.
type shape struct {
	Key  string `json:"key"`
	Size int64  `json:"size"` // In bytes.
	Seed uint64 `json:"seed"`
}

// content is the data of a set: several sets may measure the same one.
type content struct {
	name   string
	shapes func(short bool) []shape
	// crc uploads with the CRC64NVME of the whole object. Without it, S3 says of an object
	// nothing but its entity tag, as of objects that are older than checksums.
	crc bool
}

// set is what one table shows: data, and the server that has it.
type set struct {
	name   string // As in the JSON of the last line; sets that are not in it have other names.
	title  string
	data   content
	server serverKind
	// closing starts a VersityGW that closes each connection after one answer, as it does
	// unless it is told otherwise.
	closing bool
	// dd adds a copy from the server's own files.
	dd bool
	// upload sends files to a fresh server.
	upload bool
}

var (
	smallData    = content{name: "small", shapes: smallShapes}
	mibData      = content{name: "mib", shapes: mibShapes}
	largeCRCData = content{name: "large_crc", shapes: largeShapes, crc: true}
	largeMD5Data = content{name: "large_md5", shapes: largeShapes}
	mixedData    = content{name: "mixed", shapes: mixedShapes}
)

var sets = []set{
	{
		name:   "small",
		title:  "20,000 objects, log-normal around 16 KiB, VersityGW",
		data:   smallData,
		server: versityGW,
	},
	{
		name:    "small_closing",
		title:   "20,000 objects, log-normal around 16 KiB, VersityGW without keep-alive",
		data:    smallData,
		server:  versityGW,
		closing: true,
	},
	{
		name:   "small_minio",
		title:  "20,000 objects, log-normal around 16 KiB, MinIO",
		data:   smallData,
		server: minIO,
	},
	{name: "mib", title: "2,000 objects of 1 MiB, VersityGW", data: mibData, server: versityGW},
	{
		name:   "large_crc",
		title:  "4 objects of 768 MiB with CRC64NVME, VersityGW",
		data:   largeCRCData,
		server: versityGW,
		dd:     true,
	},
	{
		name:   "large_md5",
		title:  "4 objects of 768 MiB with MD5 entity tags only, VersityGW",
		data:   largeMD5Data,
		server: versityGW,
		dd:     true,
	},
	{
		name:   "mixed",
		title:  "4,000 small objects, 200 of 1 MiB, 8 of 32 MiB, 1 of 256 MiB, VersityGW",
		data:   mixedData,
		server: versityGW,
	},
	{
		name:   "up_small",
		title:  "Upload of 20,000 files, log-normal around 16 KiB, VersityGW",
		data:   smallData,
		server: versityGW,
		upload: true,
	},
	{
		name:   "up_large",
		title:  "Upload of 4 files of 768 MiB, VersityGW",
		data:   largeCRCData,
		server: versityGW,
		upload: true,
	},
}

// scaled is n, or a hundredth of it, and at least 2, in a short run.
func scaled(n int, short bool) int {
	if short {
		return max(2, n/100)
	}
	return n
}

func smallShapes(short bool) []shape {
	random := rand.New(rand.NewPCG(1, 16))
	out := make([]shape, 0, 20_000)
	for i := range scaled(20_000, short) {
		out = append(out, shape{Key: fmt.Sprintf("small/%03d/%05d.bin", i/100, i), Size: logNormal(random), Seed: uint64(i)})
	}
	return out
}

// logNormal has a mean of 16 KiB and a median of 9.9 KiB; one in twenty is larger than 50 KiB.
func logNormal(random *rand.Rand) int64 {
	const mean, sigma = 16 * story.KiB, 1.0
	size := math.Exp(math.Log(mean) - sigma*sigma/2 + sigma*random.NormFloat64())
	return int64(min(max(size, 1), story.MiB))
}

func mibShapes(short bool) []shape { return equal("mib", scaled(2000, short), story.MiB) }

func largeShapes(short bool) []shape {
	if short {
		return equal("large", 2, 40*story.MiB)
	}
	return equal("large", 4, 768*story.MiB)
}

func mixedShapes(short bool) []shape {
	large := int64(256 * story.MiB)
	if short {
		large = 40 * story.MiB
	}
	out := smallShapes(short)
	out = out[:min(len(out), 4000)]
	out = append(out, equal("mib", scaled(200, short), story.MiB)...)
	if !short {
		out = append(out, equal("middle", 8, 32*story.MiB)...)
	}
	return append(out, equal("large", 1, large)...)
}

// equal is n objects of one size.
func equal(name string, n int, size int64) []shape {
	out := make([]shape, 0, n)
	for i := range n {
		out = append(out, shape{Key: fmt.Sprintf("%s/%05d.bin", name, i), Size: size, Seed: uint64(size) + uint64(i)})
	}
	return out
}
