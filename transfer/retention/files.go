// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// LastWithFiles is the last complete run of a claim that had files, also where its objects are being removed; nil where
// there is none. Names decide between those that ended in one second.
func LastWithFiles(exports []v1alpha1.S3Export, claim types.UID) *v1alpha1.S3Export {
	return lastsWithFiles(exports, func(e *v1alpha1.S3Export) string { return e.Status.ClaimUID })[string(claim)]
}

// LastsToRestore are, of each group, the last complete run that had files and is not being removed: it is of use when
// all that came after it found a disk that is not mounted. The group "" has none.
func LastsToRestore(exports []v1alpha1.S3Export, group func(*v1alpha1.S3Export) string) map[string]*v1alpha1.S3Export {
	return lastsWithFiles(exports, func(e *v1alpha1.S3Export) string {
		if Pruning(e) || e.DeletionTimestamp != nil {
			return ""
		}
		return group(e)
	})
}

func lastsWithFiles(exports []v1alpha1.S3Export, group func(*v1alpha1.S3Export) string) map[string]*v1alpha1.S3Export {
	lasts := map[string]*v1alpha1.S3Export{}
	for i := range exports {
		e := &exports[i]
		if StateOf(e) != Complete || e.Spec.DryRun || e.Status.Objects == 0 {
			continue
		}
		if g := group(e); g != "" && (lasts[g] == nil || endedBefore(lasts[g], e)) {
			lasts[g] = e
		}
	}
	return lasts
}

func endedBefore(a, b *v1alpha1.S3Export) bool {
	at, than := timeOf(a), timeOf(b)
	return at.Before(than) || at.Equal(than) && a.Name < b.Name
}

// timeOf is zero where nobody knows when a run ended.
func timeOf(e *v1alpha1.S3Export) (at time.Time) {
	if e.Status.CompletionTime != nil {
		at = e.Status.CompletionTime.Time
	}
	return at
}

// NoFile tells that neither of two runs has a file: their digests, which are of regular files, are the same. Links and
// directories are in their manifests alone, so that nobody can tell here whether the older one has any: a mover would
// remove nothing of one with links, however often it is tried.
func NoFile(newest, e *v1alpha1.S3Export) bool {
	return newest.Status.Objects == 0 && e.Status.Objects == 0 && newest.Status.ManifestDigest == e.Status.ManifestDigest
}
