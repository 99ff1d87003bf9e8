// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/csi/driver"
	"github.com/s3populator/s3populator/e2e/csi/image"
	"github.com/s3populator/s3populator/e2e/story"
	"github.com/s3populator/s3populator/mover/wire"
)

// A class hands out storage that was used before. The claim says what is on it and is not
// bound; no file is touched, and no byte of a device.
func TestUsedStorage(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(wire.VolumeNotEmpty), string(v1alpha1.ReasonVolumeOrphaned)}
	bucket := s.Bucket(story.VersityGW).Put(map[string][]byte{"disk.img": story.Bytes(1, story.MiB)})
	s.Source("source", bucket, func(o *v1alpha1.S3Source) { o.Spec.Objects = []v1alpha1.S3Object{{Key: "disk.img"}} })
	used := s.Class(corev1.PersistentVolumeReclaimDelete, map[string]string{driver.ParameterLeftover: "thesis.tex"})
	files := s.Claim(story.Claim{Name: "files", Source: "source", Class: used, Size: "16Mi"})
	const deviceSize = 16 * story.MiB
	device := s.Claim(story.Claim{Name: "device", Source: "source", Class: used, Size: "16Mi", Block: true})
	s.WaitForCondition(files.Name, string(wire.VolumeNotEmpty), "thesis.tex")
	s.WaitForCondition(device.Name, string(wire.VolumeNotEmpty), "XFS")
	sum := sha256.Sum256([]byte("thesis.tex"))
	s.AssertContent(
		s.Reader(s.PrimeOf(files)),
		story.Content{"thesis.tex": {Size: int64(len("thesis.tex")), SHA256: hex.EncodeToString(sum[:])}},
	)

	if got := s.DeviceSum(s.PrimeOf(device), deviceSize); got != leftXFS(t, deviceSize) {
		t.Errorf("the device was written to: its checksum is %s", got)
	}

	// Both outlive their claims, although their class deletes.
	for _, claim := range []*corev1.PersistentVolumeClaim{files, device} {
		s.Delete(claim)
		volume := s.Orphaned(claim)
		if volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
			t.Errorf("volume %s of claim %s has policy %s", volume.Name, claim.Name, volume.Spec.PersistentVolumeReclaimPolicy)
		}
		s.Reclaim(volume)
	}
}

// leftXFS is the checksum of a device as the driver hands it out when it was used before.
func leftXFS(t *testing.T, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "device")
	if err := errors.Join(image.Create(path, size), image.LeaveXFS(path)); err != nil {
		t.Fatal(err)
	}
	bytes, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(bytes)
	return hex.EncodeToString(sum[:])
}
