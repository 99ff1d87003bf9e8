// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"fmt"
	"slices"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
	"github.com/s3populator/s3populator/transfer/retention"
)

// before is the last run with files that a complete empty one came after, and how many those are: one that is there, or
// that the claim has a note of. There are none where it is not empty, or nothing was there before.
func before(s state, e *v1alpha1.S3Export) (name string, files int64) {
	if !e.IsEmpty() {
		return "", 0
	}
	if last := retention.Emptied(e, s.Exports); last != nil {
		return last.Name, last.Files()
	}
	// Of which part of the volume the noted one was nobody knows any more.
	if note, ok := annotated.FilesOf(s.Claim); ok && retention.Whole(e) && !note.At.After(ended(e)) {
		return note.Run, note.Files + note.Links
	}
	return "", 0
}

// empties tells that a complete run found no file where one before it had some: a disk that is not mounted is an empty
// volume, too.
func empties(s state, e *v1alpha1.S3Export) bool {
	_, files := before(s, e)
	return files > 0
}

// refilled tells that a later run found files where one found none, whoever made it: the volume has them.
func refilled(s state, emptied *v1alpha1.S3Export) bool {
	return slices.ContainsFunc(s.Exports, func(e v1alpha1.S3Export) bool {
		return isComplete(&e) && !e.IsEmpty() && later(&e, emptied) && retention.Holds(&e, emptied)
	})
}

// tellEmptied says what there was before a run that found no file, where that is, and what to do.
func tellEmptied(s state, emptied *v1alpha1.S3Export) string {
	if emptied == nil {
		return ""
	}
	name, files := before(s, emptied)
	text := fmt.Sprintf("S3Export %s found no file, and S3Export %s of this claim had %d, so that the disk may not have "+
		"been mounted. See that the volume is the right one, is mounted and has its files, and export it again; if nothing "+
		"is to be there, put an empty file there first. ", emptied.Name, name, files)
	if last := retention.Emptied(emptied, s.Exports); last != nil {
		text += tellOne(last) + " "
	}
	return text
}
