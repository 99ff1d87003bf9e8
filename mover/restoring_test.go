// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// attributesOfTwoRuns exports the same files twice, with attributes of all kinds and then with others, and returns both
// manifests.
func attributesOfTwoRuns(t *testing.T, s *s3server) (one, two string) {
	t.Helper()
	b := newExport(t, s.endpoint)
	in := func(name string) string { return filepath.Join(b.paths.Volume, name) }
	for _, name := range []string{"a", "dir/b", "dir/sub/c", "other/d"} {
		b.file(name, "content of "+name)
	}
	mustDo(t, os.Mkdir(in("empty"), 0o700))
	mustDo(t, os.Symlink("../a", in("dir/link")))
	mustDo(t, os.Chmod(in("a"), 0o751|os.ModeSetuid))
	mustDo(t, os.Chmod(in("dir/b"), 0o400))
	mustDo(t, os.Chmod(in("dir"), 0o770|os.ModeSetgid))
	mustDo(t, os.Chmod(in("dir/sub"), 0o711|os.ModeSticky))
	for _, name := range []string{"a", "dir", "empty"} {
		if err := unix.Setxattr(in(name), "user.one", []byte(name), 0); err != nil {
			t.Logf("no attributes here: %v", err)
		}
	}
	if os.Geteuid() == 0 {
		mustDo(t, os.Chown(in("other/d"), 1234, 5678))
		mustDo(t, os.Chown(in("other"), 1234, 5678))
	}
	b.settle()
	b.mustBeDone(b.run())
	one = s.object(t, "runs/1/"+manifest.Key)
	for _, name := range []string{"a", "dir", "empty"} {
		_ = unix.Removexattr(in(name), "user.one")
	}
	mustDo(t, os.Remove(in("dir/link")))
	mustDo(t, os.Symlink("dir/b", in("link")))
	for name, mode := range map[string]os.FileMode{"a": 0o644, "dir/b": 0o640, "dir": 0o755, "dir/sub": 0o755} {
		mustDo(t, os.Chmod(in(name), mode))
	}
	mustDo(t, os.Chown(in("other/d"), os.Geteuid(), os.Getegid()))
	mustDo(t, os.Chtimes(in("dir/sub/c"), time.Time{}, time.Unix(1_000_000_000, 0)))
	b.request.Export.Run = "run-2"
	b.mustBeDone(b.run())
	return one, s.object(t, "runs/1/"+manifest.Key)
}

// attempt is a mover that has entered its volume, as far as act goes.
func (b *bench) attempt(act func(tr *transfer) error) error {
	t := b.t
	t.Helper()
	b.options.Log = &b.log
	o := b.options
	o.complete()
	m := newMover(b.request, o)
	mustDo(t, m.connect())
	defer m.fetcher.close()
	v, err := volume.Open(b.paths.Volume, "")
	mustDo(t, err)
	defer v.Close()
	tr := m.transferTo(v)
	mustDo(t, tr.enter(t.Context()))
	defer tr.journal.Close()
	mustDo(t, tr.makePlan(t.Context()))
	return act(tr)
}

// isInterrupted tells an attempt that was ended from one that was done by then.
func isInterrupted(t *testing.T, err error) bool {
	t.Helper()
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("it ends with %v", err)
	}
	return err != nil
}

// restoresUpTo fills a volume, and ends while it restores attributes, after so many looks at whether it should.
func (b *bench) restoresUpTo(left int) error {
	b.t.Helper()
	return b.attempt(func(tr *transfer) error {
		ctx := b.t.Context()
		mustDo(b.t, errors.Join(tr.prepare(ctx), tr.fill(ctx), tr.listing.confirm(ctx, tr.ledger)))
		return tr.restoreAttributes(&looks{left: left})
	})
}

// reopensUpTo is the next attempt, which ends while it makes room for what is asked for now.
func (b *bench) reopensUpTo(left int) error {
	b.t.Helper()
	return b.attempt(func(tr *transfer) error { return tr.reopen(&looks{left: left}) })
}

var timeOf = regexp.MustCompile(` time \d+`)

// withoutTimes drops from a tree when files were written.
func withoutTimes(all map[string]string) map[string]string {
	for name, what := range all {
		all[name] = timeOf.ReplaceAllString(what, "")
	}
	return all
}

// interruptedAnywhere plays each way in which a restore of one run may be followed by what is asked for next. Wherever
// the attempts before have ended, the volume is as if there had been none.
func interruptedAnywhere(t *testing.T, least int, upTo func(t *testing.T, p *bench, left int) bool) {
	unix.Umask(volume.Umask) // As Run sets it.
	s := startVersity(t)
	one, two := attributesOfTwoRuns(t, s)
	for name, tt := range map[string]struct {
		manifest   string
		attributes bool
	}{
		"the same again": {one, true},
		"no attributes":  {one, false},
		"another run":    {two, true},
	} {
		t.Run(name, func(t *testing.T) {
			ask := func(p *bench, manifestText string, attributes bool) {
				s.put(t, "runs/1/"+manifest.Key, []byte(manifestText))
				p.request.Source.Prefix, p.request.Policy.RestoreAttributes = "runs/1/", attributes
			}
			filled := func(p *bench) map[string]string {
				ask(p, tt.manifest, tt.attributes)
				p.mustBeDone(p.run())
				if tt.attributes {
					return tree(t, p.paths.Volume)
				}
				return withoutTimes(tree(t, p.paths.Volume))
			}
			want := filled(newBench(t, s.endpoint))
			left := 0
			for ; ; left++ {
				p := newBench(t, s.endpoint)
				ask(p, one, true)
				if !upTo(t, p, left) {
					break
				}
				p.request.Attempt, p.request.Volume.Began, p.options.PodUID = 3, true, "next-pod"
				if diff := cmp.Diff(want, filled(p)); diff != "" {
					t.Errorf("after one that ended after %d looks (-want +got):\n%s", left, diff)
				}
			}
			if left < least {
				t.Errorf("it was interrupted %d times, want %d", left, least)
			}
		})
	}
}

// TestARestoreThatIsInterrupted leaves nothing of its own under what is asked for next, wherever it ends. Four
// directories and a link are made, and they and four files are given attributes.
func TestARestoreThatIsInterrupted(t *testing.T) {
	interruptedAnywhere(t, 14, func(t *testing.T, p *bench, left int) bool {
		return isInterrupted(t, p.restoresUpTo(left))
	})
}

// TestARestoreThatIsTakenBackInPart: the attempt that was to take it back has ended, too, and then something else is
// asked for once more.
func TestARestoreThatIsTakenBackInPart(t *testing.T) {
	interruptedAnywhere(t, 16, func(t *testing.T, p *bench, left int) bool {
		const most = 13 // All but the last directory.
		if !isInterrupted(t, p.restoresUpTo(most)) {
			t.Fatal("it was not interrupted")
		}
		p.request.Attempt, p.request.Volume.Began, p.options.PodUID = 2, true, "second-pod"
		p.request.Policy.RestoreAttributes = false
		return isInterrupted(t, p.reopensUpTo(left))
	})
}

// TestARestoreGoesOn with the files that an attempt before it had loaded.
func TestARestoreGoesOn(t *testing.T) {
	s := startVersity(t)
	one, _ := attributesOfTwoRuns(t, s)
	s.put(t, "runs/1/"+manifest.Key, []byte(one))
	p := newBench(t, s.endpoint)
	p.request.Source.Prefix, p.request.Policy.RestoreAttributes = "runs/1/", true
	if !isInterrupted(t, p.restoresUpTo(13)) {
		t.Fatal("it was not interrupted")
	}
	p.request.Attempt, p.request.Volume.Began = 2, true
	if r := p.mustBeDone(p.run()); r.FetchedBytes > 0 {
		t.Errorf("%d bytes are fetched again", r.FetchedBytes)
	}
}

// TestNoAttributesAfterARestore that keeps the mover itself out of what it had restored.
func TestNoAttributesAfterARestore(t *testing.T) {
	testenv.Root(t)
	const uid = 12345
	b := exported(t, startVersity(t))
	plain := b.populateAs(uid)
	plain.request.Policy = wire.Policy{}
	p := b.populateAs(uid)
	for _, p := range []*bench{plain, p} {
		if code, out := p.runAs(uid); code != 0 {
			t.Fatalf("exit code %d:\n%s", code, out)
		}
	}
	v, err := volume.Open(p.paths.Volume, "")
	mustDo(t, err)
	defer v.Close()
	j, err := ledger.TakeOver(v.Root, plan.Header{Claim: testClaim, Pod: "earlier-pod", Request: "another"})
	mustDo(t, err)
	mustDo(t, j.Restores("what the manifest says"))
	j.Close()
	p.giveJournal(uid)
	p.request.Policy = wire.Policy{}
	p.request.Attempt, p.request.Volume.Began = 2, true
	if code, out := p.runAs(uid); code != 0 {
		t.Fatalf("the next attempt: exit code %d:\n%s", code, out)
	}
	want, got := withoutTimes(tree(t, plain.paths.Volume)), withoutTimes(tree(t, p.paths.Volume))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the volume (-want +got):\n%s", diff)
	}
}

// TestAVolumeThatIsFilledAnew keeps nothing, and no word of what was on it: a large file would be taken for one of
// which something has arrived.
func TestAVolumeThatIsFilledAnew(t *testing.T) {
	v, _ := journalVolume(t)
	p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "dir/a", size: 5})
	mustDo(t, err)
	j, _ := read(t, v, "r")
	tr := transferOf(v, j, &proof.Prover{Plan: p})
	mustDo(t, j.Add([]ledger.Line{{Path: "dir/a", Size: 5, By: proof.ByMD5, ETag: emptyMD5}}))
	mustDo(t, j.Restores("another"))
	write(t, filepath.Join(v.Root.Name(), "dir/a"), "right")
	mustDo(t, tr.reopen(t.Context()))
	lines := 0
	mustDo(t, j.Replay(func(ledger.Line) { lines++ }))
	if lines > 0 {
		t.Errorf("%d lines of the journal are left", lines)
	}
	if got := snapshot(t, v.Root.Name()); regexp.MustCompile(`dir|restoring`).MatchString(got) {
		t.Errorf("the volume holds %q", got)
	}
	mustDo(t, j.Owned())
}

// seen is a context that calls a function whenever somebody looks whether it has ended.
type seen struct {
	looks

	look func()
}

func (s *seen) Err() error {
	s.look()
	return nil
}

// TestAMoverThatLosesItsVolumeWhileItSyncs leaves the mark of the one that has it by then: without that mark, what that
// one restores would stay under what is asked for next.
func TestAMoverThatLosesItsVolumeWhileItSyncs(t *testing.T) {
	dir, old, next := pair(t)
	old.volume.EachFile = true // To sync names is what looks at the context last.
	mustDo(t, old.journal.Restores("another"))
	var other *ledger.Journal
	ctx := &seen{look: func() {
		left, err := os.ReadDir(dir)
		mustDo(t, err)
		if len(left) == 1 && other == nil { // All but the journal is removed.
			other = next()
			mustDo(t, other.Restores("what the other one restores"))
		}
	}}
	mustFail(t, old.fillAnew(ctx), wire.Fenced, "has taken the volume over")
	if other == nil {
		t.Fatal("nobody has looked whether to end")
	}
	if which, begun := other.Restoring(); !begun || which != "what the other one restores" {
		t.Errorf("the mark is that of %q (%v)", which, begun)
	}
}

// TestAFileThatIsOpenElsewhere is left where it is: NFS refuses to remove the name that it has hidden one under, as the
// kernel does for what something is mounted on.
func TestAFileThatIsOpenElsewhere(t *testing.T) {
	testenv.Root(t)
	v, _ := journalVolume(t)
	in, elsewhere := filepath.Join(v.Root.Name(), ".nfs0001"), filepath.Join(t.TempDir(), "f")
	for _, name := range []string{in, elsewhere, filepath.Join(v.Root.Name(), "a")} {
		write(t, name, "")
	}
	mustDo(t, unix.Mount(elsewhere, in, "", unix.MS_BIND, ""))
	t.Cleanup(func() { mustDo(t, unix.Unmount(in, 0)) })
	mustDo(t, v.Empty(t.Context(), func() error { return nil }))
	left, err := os.ReadDir(v.Root.Name())
	if err != nil || len(left) != 1 || left[0].Name() != ".nfs0001" {
		t.Errorf("%v are left (%v), want it alone", left, err)
	}
}
