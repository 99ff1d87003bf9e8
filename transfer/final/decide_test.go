// SPDX-License-Identifier: Apache-2.0

package final

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

func TestDecide(t *testing.T) {
	ended, reader := pod(ourLabels, corev1.PodSucceeded), pod(ourLabels, corev1.PodRunning)
	stranger, spoiled := pod(nil, corev1.PodRunning), marked(v1alpha1.AnnotationFinalExport)
	for name, tt := range map[string]struct {
		state  State
		action Action
		reason v1alpha1.Reason
	}{
		"a selected claim is held":           {world(alive, released), AddFinalizer, ""},
		"a held claim is left alone":         {world(alive), Wait, ""},
		"a claim that asks no more":          {world(alive, unselected, longUnasked), RemoveFinalizer, "FinalExportNotAsked"},
		"since a moment ago":                 {world(alive, unselected), Wait, ""},
		"a claim without a place":            {world(alive, nowhere, longUnasked), RemoveFinalizer, "FinalExportNotAsked"},
		"a claim that nobody holds goes":     {world(released, unselected), Wait, ""},
		"its pods are waited for":            {world(inUseByPods), Wait, "ClaimInUse"},
		"its nodes are waited for":           {world(attachedTo), Wait, "VolumeAttached"},
		"pods come before nodes":             {world(inUseByPods, attachedTo), Wait, "ClaimInUse"},
		"a volume without a claimRef":        {world(noRef), Wait, "VolumeUnsettled"},
		"a volume that is being deleted":     {world(volumeGoing, exportClaimPending), Wait, "VolumeUnsettled"},
		"it is deleted, and its pod is left": {world(volumeGoing, inUseByPods), Wait, "ClaimInUse"},
		"a volume that is released":          {world(marked(v1alpha1.AnnotationReleasing)), Wait, "VolumeUnsettled"},
		"a volume with a record not to read": {world(marked(v1alpha1.AnnotationFinalExport)), Wait, "VolumeUnsettled"},
		"asked no more after the deletion":   {world(unselected), CreateExportClaim, ""},
		"no place after the deletion":        {world(nowhere), Wait, "InvalidAnnotations"},
		"the export claim comes first":       {world(), CreateExportClaim, ""},
		"its name is somebody else's":        {world(strangeExportClaim), Wait, "ExportClaimConflict"},
		"it goes":                            {world(exportClaimGoing), Wait, "FinalExportEnding"},
		"the volume is taken":                {world(exportClaimPending), TakeVolume, ""},

		"the export claim was deleted":   {world(taken), CreateExportClaim, ""},
		"it is being deleted":            {world(taken, exportClaimGoing), Wait, "FinalExportRunning"},
		"it is kept by a pod that ended": {world(taken, exportClaimGoing, failing, ended), DeletePod, ""},
		"it goes while a pod reads":      {world(taken, exportClaimGoing, run, reader), Wait, "FinalExportRunning"},
		"it was made anew":               {world(taken, refersToUID("earlier"), exportClaim), TakeVolume, ""},
		"somebody cleared the claimRef":  {world(taken, noRef, exportClaim), TakeVolume, ""},
		"somebody removed the record":    {world(taken, forgotten, exportClaim, run), TakeVolume, "VolumeUnsettled"},
		"somebody spoiled the record":    {world(taken, spoiled, exportClaim, run), TakeVolume, "VolumeUnsettled"},
		"no record, and no export claim": {world(taken, forgotten, run), CreateExportClaim, ""},
		"no record, and it was skipped": {
			world(taken, forgotten, exportClaim, skipped), ReturnVolume, "VolumeUnsettled",
		},
		"no record, and the claim is gone": {
			world(taken, forgotten, exportClaim, run, gone), TakeVolume, "VolumeUnsettled",
		},
		"somebody gave it back by hand":       {world(taken, refersToUID(uid), exportClaim), TakeVolume, ""},
		"somebody gave it back without a UID": {world(taken, byHand, exportClaim), TakeVolume, ""},
		"somebody gave it to a later claim":   {world(taken, later, exportClaim), Wait, "VolumeTaken"},
		"somebody changed the name alone":     {world(taken, renamed, exportClaim, run), TakeVolume, ""},
		"somebody set its policy":             {world(taken, withPolicy("Delete"), exportClaim, run), TakeVolume, ""},
		"somebody gave it away":               {world(taken, givenAway, exportClaim, complete), Wait, "VolumeTaken"},
		"the binder is waited for":            {world(taken, exportClaimPending), Wait, "FinalExportRunning"},
		"the run is made":                     {world(taken, exportClaim), CreateExport, ""},
		"its name is somebody else's as well": {world(taken, exportClaim, strangeRun), Wait, "ExportClaimConflict"},
		"the run goes on":                     {world(taken, exportClaim, run), Wait, "FinalExportRunning"},
		"the volume is deleted meanwhile":     {world(taken, volumeGoing, exportClaim, run), Wait, "VolumeUnsettled"},
		"the volume is deleted at its end":    {world(taken, volumeGoing, exportClaim, complete), ReturnVolume, ""},
		"the run was deleted":                 {world(taken, exportClaim, runGoing), Wait, "FinalExportRunning"},
		"the run failed":                      {world(taken, exportClaim, failing), Wait, "FinalExportFailed"},
		"another run is asked for":            {world(taken, exportClaim, outdated), DeleteExport, ""},
		"no place before the run":             {world(taken, exportClaim, nowhere), Wait, "InvalidAnnotations"},
		"complete, and a pod is left":         {world(taken, exportClaim, complete, ended), DeletePod, "FinalExportEnding"},
		"complete, and somebody's pod is":     {world(taken, exportClaim, complete, stranger), Wait, "FinalExportEnding"},
		"complete":                            {world(taken, exportClaim, complete), ReturnVolume, ""},
		"complete, the export claim is gone":  {world(taken, complete), ReturnVolume, ""},
		"complete, of another claim":          {world(taken, exportClaim, but(ofAnother)), DeleteExport, ""},
		"complete, of no known claim":         {world(taken, exportClaim, but(ofNone)), Wait, "FinalExportFailed"},
		"complete, of a part":                 {world(taken, exportClaim, but(ofPart)), Wait, "FinalExportFailed"},
		"complete, files were left out":       {world(taken, exportClaim, but(filtered)), Wait, "FinalExportFailed"},
		"complete, some were chosen":          {world(taken, exportClaim, but(chosen)), Wait, "FinalExportFailed"},
		"complete, names were left out":       {world(taken, exportClaim, but(unsafe)), Wait, "FinalExportFailed"},
		"complete, a dry run":                 {world(taken, exportClaim, but(dry)), Wait, "FinalExportFailed"},
		"complete, files changed meanwhile":   {world(taken, exportClaim, but(changed)), Wait, "FinalExportFailed"},
		"complete, files went meanwhile":      {world(taken, exportClaim, but(movedAway)), Wait, "FinalExportFailed"},
		"complete, .snapshots left out":       {world(taken, exportClaim, but(leftOut)), Wait, "FinalExportFailed"},
		"complete, without a file":            {world(taken, exportClaim, emptied), Wait, "FinalExportFailed"},
		"complete, without a file, skipped":   {world(taken, exportClaim, emptied, skipped), DeleteExport, ""},
		"complete, without a file, runs gone": {world(noted, exportClaim, complete), Wait, "FinalExportFailed"},
		"complete, with files, runs gone":     {world(noted, exportClaim, but(full)), ReturnVolume, ""},
		"complete, with links, runs gone":     {world(noted, exportClaim, but(linked)), Wait, "FinalExportFailed"},
		"complete, with links, files before":  {world(taken, exportClaim, emptied, but(linked)), Wait, "FinalExportFailed"},
		"complete, without links, as before":  {world(taken, exportClaim, emptied, asBefore), Wait, "FinalExportFailed"},
		"complete, with links as before":      {world(taken, exportClaim, emptied, asBefore, but(linked)), ReturnVolume, ""},
		"complete, runs gone, and skipped":    {world(noted, exportClaim, complete, skipped), DeleteExport, ""},
		"complete, changed, and skipped":      {world(taken, exportClaim, but(changed), skipped), DeleteExport, ""},
		"complete, read before it was taken":  {world(taken, refersToUID(uid), exportClaim, complete), TakeVolume, ""},
		"given back":                          {world(exported, exportClaim, complete), DeleteExportClaim, ""},
		"given back, the export claim goes":   {world(exported, exportClaimGoing, complete), Wait, "FinalExportEnding"},
		"given back, and clean":               {world(exported, complete), RemoveFinalizer, "FinalExportComplete"},
		"given back, without a file":          {world(exported, emptied), RemoveFinalizer, "FinalExportComplete"},
		"given back, the run is forgotten":    {world(exported), RemoveFinalizer, "FinalExportComplete"},
		"complete, with links, files recorded": {
			world(noted, exportClaim, emptied, asBefore, but(linked)), Wait, "FinalExportFailed",
		},
		"complete, with links, files noted": {
			world(taken, exportClaim, emptied, asBefore, but(linked), withNote), Wait, "FinalExportFailed",
		},

		"skipped at once":                   {world(skipped, inUseByPods), RemoveFinalizer, "FinalExportSkipped"},
		"skipped before the volume is":      {world(skipped, exportClaim), DeleteExportClaim, ""},
		"skipped while it runs":             {world(taken, exportClaim, run, skipped), DeleteExport, ""},
		"skipped, and a pod reads":          {world(taken, exportClaim, skipped, reader), DeletePod, "FinalExportEnding"},
		"skipped after a failure":           {world(taken, exportClaim, failing, skipped), DeleteExport, ""},
		"skipped, nothing runs":             {world(taken, exportClaim, skipped), ReturnVolume, ""},
		"skipped, a strange claim stays":    {world(skipped, strangeExportClaim), RemoveFinalizer, "FinalExportSkipped"},
		"skipped, it was given away":        {world(taken, givenAway, skipped), RemoveFinalizer, "FinalExportSkipped"},
		"the namespace goes":                {world(leaving, inUseByPods), RemoveFinalizer, "FinalExportSkipped"},
		"the namespace goes while it runs":  {world(taken, exportClaim, runGoing, leaving), ReturnVolume, ""},
		"no volume":                         {world(noVolume), RemoveFinalizer, "FinalExportSkipped"},
		"the volume is another claim's now": {world(givenAway), RemoveFinalizer, "FinalExportSkipped"},

		"deleted before it was held":         {world(released), Wait, "FinalExportSkipped"},
		"deleted, exported, not held":        {world(released, exported), Wait, ""},
		"gone, and nothing is left":          {world(gone, noVolume), Wait, ""},
		"gone before the volume was taken":   {world(exportClaim, gone), DeleteExportClaim, ""},
		"gone while it runs":                 {world(taken, exportClaim, run, gone), Wait, "FinalExportRunning"},
		"gone, and the export claim too":     {world(taken, run, gone), CreateExportClaim, ""},
		"gone, complete":                     {world(taken, exportClaim, complete, gone), ReturnVolume, ""},
		"gone, and nothing says where to":    {world(taken, exportClaim, gone), ReturnVolume, ""},
		"gone, its export claim was deleted": {world(taken, exportClaim, ofEarlier, gone), Wait, "FinalExportFailed"},
		"forced, its export claim was too":   {world(taken, exportClaim, ofEarlier, released), Wait, "FinalExportFailed"},
		"gone, files went meanwhile":         {world(taken, exportClaim, but(movedAway), gone), Wait, "FinalExportFailed"},
		"gone, files changed meanwhile":      {world(taken, exportClaim, but(changed), gone), Wait, "FinalExportFailed"},
		"gone, without a file":               {world(taken, exportClaim, emptied, gone), Wait, "FinalExportFailed"},
		"gone, without a file, and its runs": {world(noted, exportClaim, complete, gone), Wait, "FinalExportFailed"},
		"gone with its volume, without one":  {world(emptied, gone, noVolume), Wait, ""},
		"gone, names were left out as told": {
			world(taken, exportClaim, but(unsafe, leftOut), gone), Wait, "FinalExportFailed",
		},
		"gone, given back":                  {world(exported, exportClaim, complete, gone), DeleteExportClaim, ""},
		"gone, failed":                      {world(taken, exportClaim, failing, gone), Wait, "FinalExportFailed"},
		"the finalizer was taken off by us": {world(taken, exportClaim, released), ReturnVolume, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := Decide(tt.state)
			if d.Action != tt.action || d.Reason != tt.reason {
				t.Errorf("decided %s %q (%s), want %s %q", d.Action, d.Reason, d.Message, tt.action, tt.reason)
			}
			if d.Reason != "" && (d.Message == "" || d.Status == "") {
				t.Errorf("%s has status %q and says %q", d.Reason, d.Status, d.Message)
			}
		})
	}
}

// TestWords: who reads why a claim stays also reads how to let it go.
func TestWords(t *testing.T) {
	for name, s := range map[string]State{
		"in use": world(inUseByPods), "attached": world(attachedTo), "no place": world(nowhere),
		"running": world(taken, exportClaim, run), "failed": world(taken, exportClaim, failing),
		"going": world(volumeGoing), "going while it runs": world(taken, volumeGoing, exportClaim, run),
		"changed":  world(taken, exportClaim, but(changed)),
		"moved":    world(taken, exportClaim, but(movedAway)),
		"left out": world(taken, exportClaim, but(leftOut)),
		"emptied":  world(taken, exportClaim, emptied), "emptied, runs gone": world(noted, exportClaim, complete),
		"conflict": world(strangeExportClaim), "given away": world(taken, givenAway),
	} {
		if d := Decide(s); !strings.Contains(d.Message, v1alpha1.AnnotationSkipFinalExport+"=true") {
			t.Errorf("%s: says nothing of the way out: %s", name, d.Message)
		}
	}
	if d := Decide(world(taken, exportClaim, failing)); !strings.Contains(d.Message, "NoSuchBucket: the bucket is gone") ||
		!strings.Contains(d.Message, v1alpha1.AnnotationRetry) {
		t.Errorf("a failure is told without its cause or what to do: %s", d.Message)
	}
	for name, tt := range map[string]struct {
		in         State
		says, hush string
	}{
		"failed": {
			world(taken, exportClaim, failing),
			"with a new value of the annotation s3populator.io/retry, or with another place: its annotation " +
				"s3populator.io/export-to says where to. To delete", "finalizer",
		},
		"failed, its policy is gone, and its annotations name a place": {
			world(taken, exportClaim, failing, unselected), "its annotation s3populator.io/export-to says where to", "finalizer",
		},
		"failed, its policy is gone, and nothing names a place": {
			world(taken, exportClaim, failing, unselected, nowhere),
			"and say where to, because s3populator.io/export-to is not set, and no S3ExportPolicy with spec.onDelete selects " +
				"it; then try again with a new value of the annotation s3populator.io/retry.", "another place",
		},
		"failed, and nobody holds the claim": {
			world(taken, exportClaim, failing, released), "it is not tried again", v1alpha1.AnnotationRetry,
		},
		"failed, and the claim is gone": {
			world(taken, exportClaim, failing, gone), "it is not tried again", v1alpha1.AnnotationRetry,
		},
		"changed, and the claim is gone": {
			world(taken, exportClaim, but(changed), gone), "it is not tried again", v1alpha1.AnnotationRetry,
		},
		"emptied": {
			world(taken, exportClaim, emptied),
			"If it was emptied on purpose, let it go. " + howToSkip + " If not: Correct the cause, then try again", "  ",
		},
		"emptied, and the claim is gone": {
			world(taken, exportClaim, emptied, gone), "it is not tried again", v1alpha1.AnnotationRetry,
		},
	} {
		if d := Decide(tt.in); !strings.Contains(d.Message, tt.says) || strings.Contains(d.Message, tt.hush) {
			t.Errorf("%s: want %q and not %q: %s", name, tt.says, tt.hush, d.Message)
		}
	}
	if d := Decide(world(taken, exportClaim, waiting)); !strings.Contains(d.Message, "Pending: Queued: 3 are ahead.") {
		t.Errorf("what the export waits for is not told: %s", d.Message)
	}
	if d := Decide(world(taken, exportClaim, run)); !strings.Contains(d.Message, "Lost") {
		t.Errorf("Lost is not explained: %s", d.Message)
	}
}
