// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/fromexport"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/attempts"
)

// The rules of this file keep one promise: one run loads one selection. Half of each of two would pass for Complete,
// and deleteExtra below another directory would remove what nobody meant.

// SelectionOf is what an import loads from a source, and where to. The source is an effective one: that of an export
// has its prefix. What is written in another way is the same: a directory with its slash or without, or globs in
// another order. Credentials, region and trust of an endpoint, and whatever tunes the transfer, are no part of it.
func SelectionOf(i v1alpha1.S3ImportSpec, source *v1alpha1.S3Source) (v1alpha1.ImportSelection, error) {
	selected, err := Select(i, source.Spec)
	if err != nil {
		return v1alpha1.ImportSelection{}, err
	}
	prefix, _ := prefixOf(&selected)
	export, _, _ := fromexport.Run(source)
	var objects, globs []string
	for _, o := range selected.Objects {
		objects = append(objects, fmt.Sprintf("%q %q %q", o.Key, cmp.Or(o.Path, o.Key), o.VersionID))
	}
	for _, glob := range selected.Include {
		globs = append(globs, fmt.Sprintf("include %q", glob))
	}
	for _, glob := range selected.Exclude {
		globs = append(globs, fmt.Sprintf("exclude %q", glob))
	}
	return v1alpha1.ImportSelection{
		Server: cmp.Or(strings.TrimRight(selected.Endpoint, "/"), selected.Region), Bucket: selected.Bucket,
		Prefix: prefix, ExportUID: export, TargetPath: selected.TargetPath,
		ObjectsDigest: digestOf(objects), GlobsDigest: digestOf(globs),
	}, nil
}

// digestOf lines whose order means nothing; empty where there are none.
func digestOf(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// differences of two selections, for people; empty where there are none.
func differences(was, is v1alpha1.ImportSelection) string {
	var all []string
	for _, f := range []struct{ name, was, is string }{
		{"endpoint", was.Server, is.Server},
		{"bucket", was.Bucket, is.Bucket},
		{"prefix", was.Prefix, is.Prefix},
		{"targetPath", was.TargetPath, is.TargetPath},
	} {
		if f.was != f.is {
			all = append(all, fmt.Sprintf("%s was %q and is %q", f.name, f.was, f.is))
		}
	}
	for _, f := range []struct{ says, was, is string }{
		{"fromExport names another run", was.ExportUID, is.ExportUID},
		{"objects are others", was.ObjectsDigest, is.ObjectsDigest},
		{"include or exclude are others", was.GlobsDigest, is.GlobsDigest},
	} {
		if f.was != f.is {
			all = append(all, f.says)
		}
	}
	return strings.Join(all, ", ")
}

// selectsOther tells in what the source differs from what the run loads; nothing where it does not, where nothing was
// noted yet, and where there is no source to tell.
func (s State) selectsOther() string {
	was := s.Import.Status.Selection
	if was == nil || s.Source == nil {
		return ""
	}
	is, err := SelectionOf(s.Import.Spec, s.Source)
	if err != nil {
		return trimmed(err.Error())
	}
	return differences(*was, is)
}

// mayBeAskedForOther tells that a source names an export that was not found, as right after it was applied anew: what
// is found decides whether a mover is believed that is complete. A claim that goes, or went, does not wait for that.
func (s State) mayBeAskedForOther() bool {
	return s.Unresolved && s.Import.Status.Selection != nil &&
		!s.claimGoes() && !s.otherClaim() && !replaced(s.Import, s.Claim)
}

// asksForOther is selectsOther for a mover that is complete, which nobody ends any more. What is still not found when
// the claim goes may be another export than was loaded.
func (s State) asksForOther() string {
	if s.Unresolved && s.Import.Status.Selection != nil {
		return "spec.fromExport names an export that is not found yet"
	}
	return s.selectsOther()
}

// leaveOtherSelection ends a mover that loads what its source does not select any more.
func leaveOtherSelection(s State) (Decision, bool) {
	what := s.selectsOther()
	if !attempts.Active(s.Mover) || what == "" {
		return Decision{}, false
	}
	d, _ := waiting(v1alpha1.ReasonSelectionChanged, soon,
		"S3Source %s was changed after this import began: %s. Pod %s is ended, and then the import.",
		s.Source.Name, what, s.Mover.Name)
	d.Action = DeleteMover
	return d, true
}

// refuseOtherSelection ends a run that would mix what its source selected and what it selects now.
func refuseOtherSelection(s State) (Decision, bool) {
	what := s.selectsOther()
	if what == "" {
		return Decision{}, false
	}
	return failing(v1alpha1.ReasonSelectionChanged,
		"S3Source %s was changed after this import began: %s. One run loads one selection; what it has loaded stays. Make "+
			"a new S3Import, or a new token %s on the claim.", s.Source.Name, what, v1alpha1.AnnotationImportNow)
}

// noteSelection writes down what is loaded before the first mover is made: a manager that is killed in between, and a
// pod that is gone before anybody has seen it, leave no doubt what the volume may hold.
func noteSelection(s State) (Decision, bool) {
	if s.Import.Status.Selection != nil {
		return Decision{}, false
	}
	return Decision{Action: NoteSelection, Recheck: soon}, true
}

// ofAnotherSelection: who has edited the source would take Complete for what it selects now.
func ofAnotherSelection(s State) wire.Report {
	return wire.Report{
		Class: wire.User, Reason: wire.Reason(v1alpha1.ReasonSelectionChanged),
		Message: fmt.Sprintf("Pod %s has ended, but S3Source %s was changed after this import began: %s",
			s.Mover.Name, s.Import.Spec.SourceName, s.asksForOther()),
	}
}
