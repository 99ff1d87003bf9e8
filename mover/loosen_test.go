// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/restore"
	"github.com/s3populator/s3populator/mover/wire"
)

// opened counts the files below a directory that their owner may read and write.
func opened(t *testing.T, dir string) (n int) {
	t.Helper()
	mustDo(t, filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode()&0o600 == 0o600 {
			n++
		}
		return err
	}))
	return n
}

var errLost = errors.New("another mover has the volume")

// TestAMoverThatLosesItsVolumeOpensNoMore of what was restored: to go through all of a volume takes a while.
func TestAMoverThatLosesItsVolumeOpensNoMore(t *testing.T) {
	for name, tt := range map[string]struct {
		files []string
		owned func(asked int, stop context.CancelCauseFunc) error
		want  int
	}{
		"before another directory": {
			[]string{"a/f", "b/f", "c/f"},
			func(asked int, _ context.CancelCauseFunc) error {
				if asked > 1 {
					return errLost
				}
				return nil
			}, 1,
		},
		"within a directory, by another mover": {
			[]string{"a/f", "a/g", "a/h"},
			func(asked int, _ context.CancelCauseFunc) error {
				if asked > 1 {
					return errLost
				}
				return nil
			}, 1,
		},
		"within a directory": {
			[]string{"a/f", "a/g", "a/h"},
			func(_ int, stop context.CancelCauseFunc) error {
				stop(errLost)
				return nil
			}, 1,
		},
		"at once": {
			[]string{"a/f"},
			func(int, context.CancelCauseFunc) error { return errLost }, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := journalVolume(t)
			dir := v.Root.Name()
			for _, f := range tt.files {
				write(t, filepath.Join(dir, f), "")
				mustDo(t, os.Chmod(filepath.Join(dir, f), 0o400))
			}
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			asked := 0
			err := restore.Loosen(ctx, v, func() error {
				asked++
				return tt.owned(asked, stop)
			})
			if !errors.Is(err, errLost) {
				t.Errorf("it ends with %v, want %v", err, errLost)
			}
			if n := opened(t, dir); n != tt.want {
				t.Errorf("%d files were opened, want %d", n, tt.want)
			}
		})
	}
}

// TestWhatWasRestoredIsOpened whatever its name, and of a huge directory some at a time.
func TestWhatWasRestoredIsOpened(t *testing.T) {
	v, _ := journalVolume(t)
	dir := v.Root.Name()
	const many = 2100
	for i := range many {
		write(t, filepath.Join(dir, "many", strconv.Itoa(i)), "")
		mustDo(t, os.Chmod(filepath.Join(dir, "many", strconv.Itoa(i)), 0o400))
	}
	odd := filepath.Join(dir, "no\xffname")
	write(t, filepath.Join(odd, "\xfe"), "")
	mustDo(t, os.Chmod(filepath.Join(odd, "\xfe"), 0o011))
	mustDo(t, os.Chmod(odd, 0))
	mustDo(t, os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	asked := 0
	mustDo(t, restore.Loosen(t.Context(), v, func() error { asked++; return nil }))
	if n := opened(t, dir); n != many+1 {
		t.Errorf("%d files were opened, want %d", n, many+1)
	}
	if asked < many+1 {
		t.Errorf("it was asked %d times whose the volume is", asked)
	}
	before := snapshot(t, dir)
	mustDo(t, restore.Loosen(t.Context(), v, func() error { return errLost }))
	if snapshot(t, dir) != before {
		t.Error("what is open is changed")
	}
}

// looks is a context that ends after so many looks at it.
type looks struct{ left, taken int }

func (*looks) Deadline() (deadline time.Time, ok bool) { return deadline, false }
func (*looks) Done() <-chan struct{}                   { return nil }
func (*looks) Value(any) any                           { return nil }

func (l *looks) Err() error {
	if l.taken >= l.left {
		return context.Canceled
	}
	l.taken++
	return nil
}

// TestARestoreEndsAtEachEntry: it is looked before each file, and each directory, whether the volume is lost.
func TestARestoreEndsAtEachEntry(t *testing.T) {
	for name, attempt := range map[string]func(r *restore.Restore, left int) (taken int, err error){
		"as one that is told to": func(r *restore.Restore, left int) (int, error) {
			ctx := &looks{left: left}
			_, err := r.Run(ctx, func() error { return nil }, func() error { return nil })
			return ctx.taken, err
		},
		"as one that looks itself": func(r *restore.Restore, left int) (int, error) {
			asked := &looks{left: left}
			_, err := r.Run(t.Context(), asked.Err, func() error { return nil })
			return asked.taken, err
		},
	} {
		t.Run(name, func(t *testing.T) { restoresInPart(t, attempt) })
	}
}

func restoresInPart(t *testing.T, attempt func(r *restore.Restore, left int) (taken int, err error)) {
	want := map[string]fs.FileMode{"a": 0o700, "a/f": 0o600, "x": 0o700, "y": 0o700}
	for left := 0; ; left++ {
		v, _ := journalVolume(t)
		write(t, filepath.Join(v.Root.Name(), "a/f"), "right")
		p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "a/f", size: 5})
		mustDo(t, err)
		r := restore.New(v, p, plan.Filter{})
		for _, e := range []manifest.Entry{
			{Path: "a", Type: manifest.Directory},
			{Path: "a/f", Type: manifest.File, Size: 5, ETag: p.TagText(p.Entries.At(0).ETag)},
			{Path: "x", Type: manifest.Directory},
			{Path: "y", Type: manifest.Directory},
		} {
			e.Mode = uint32(want[e.Path])
			r.Add(e)
		}
		taken, err := attempt(r, left)
		changed := 0
		for name, mode := range want {
			if info, err := os.Lstat(filepath.Join(v.Root.Name(), name)); err == nil && info.Mode().Perm() == mode {
				changed++
			}
		}
		if err == nil {
			if changed != len(want) || taken < len(want)+3 { // Each directory is made before.
				t.Errorf("%d are restored, and %d times it was looked whether to go on", changed, taken)
			}
			return
		}
		if !errors.Is(err, context.Canceled) || changed > left {
			t.Errorf("after %d looks %d are restored (%v)", left, changed, err)
		}
	}
}
