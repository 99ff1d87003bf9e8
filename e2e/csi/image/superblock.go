// SPDX-License-Identifier: Apache-2.0

package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Kind is what an image holds.
type Kind string

const (
	// Raw is anything that is not ext4, such as zeros.
	Raw Kind = "Raw"
	// Ext4 is an ext4 file system.
	Ext4 Kind = "Ext4"
)

// Where the ext4 superblock is, and the fields of it that are read here, little-endian.
const (
	superblockOffset   = 1024
	superblockBytes    = 1024
	blocksLowOffset    = 4
	logBlockSizeOffset = 24
	magicOffset        = 56
	magic              = 0xEF53
	// minBlockBytes is the block size at log 0.
	minBlockBytes = 1024
)

// Detect tells what an image or a device holds.
func Detect(path string) (Kind, error) {
	block, err := superblock(path)
	if err != nil {
		return "", err
	}
	if binary.LittleEndian.Uint16(block[magicOffset:]) != magic {
		return Raw, nil
	}
	return Ext4, nil
}

// FilesystemBytes is the size that the ext4 file system in path believes to have.
// Only the low 32 bits of the block count are read: with blocks of 4 KiB that is enough for 16 TiB.
func FilesystemBytes(path string) (int64, error) {
	block, err := superblock(path)
	if err != nil {
		return 0, err
	}
	if binary.LittleEndian.Uint16(block[magicOffset:]) != magic {
		return 0, fmt.Errorf("read file system of %s: no ext4 superblock", path)
	}
	blocks := int64(binary.LittleEndian.Uint32(block[blocksLowOffset:]))
	return blocks * minBlockBytes << binary.LittleEndian.Uint32(block[logBlockSizeOffset:]), nil
}

func superblock(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	defer func() { _ = file.Close() }()
	block := make([]byte, superblockBytes)
	if _, err := file.ReadAt(block, superblockOffset); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read superblock of %s: %w", path, err)
	}
	return block, nil
}
