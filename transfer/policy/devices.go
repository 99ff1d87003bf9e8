// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// withFiles leaves claims with volumeMode Block out, and names them: an S3Export of one could only fail, at each tick
// anew.
func withFiles(claims []*corev1.PersistentVolumeClaim) (files []*corev1.PersistentVolumeClaim, devices []string) {
	for _, claim := range claims {
		if mode := claim.Spec.VolumeMode; mode != nil && *mode == corev1.PersistentVolumeBlock {
			devices = append(devices, claim.Name)
			continue
		}
		files = append(files, claim)
	}
	return files, devices
}

// skipping tells of claims that are left out; empty where there are none.
func skipping(devices []string) string {
	if len(devices) == 0 {
		return ""
	}
	return fmt.Sprintf(" Of the claims, %s have volumeMode Block, which has no files, and are not exported, also not "+
		"before they are deleted. Correct spec.claimSelector or the labels of the claims.", few(devices))
}

// tellSkipped makes an event of what the condition says from now on, and did not say before.
func tellSkipped(d *decision, s state, text string) {
	if d.Skipped != "" && strings.Contains(text, d.Skipped) && !strings.Contains(messageOf(s.Policy), d.Skipped) {
		d.Events = append(d.Events, message{v1alpha1.ReasonClaimsSkipped, strings.TrimSpace(d.Skipped)})
	}
}
