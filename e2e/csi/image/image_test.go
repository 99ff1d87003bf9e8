// SPDX-License-Identifier: Apache-2.0

package image_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/e2e/csi/image"
	"github.com/s3populator/s3populator/internal/testenv"
)

const mib = 1 << 20

// made makes an image of a size, formatted or not. It needs no root: mkfs works on files.
func made(t *testing.T, size int64, format bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := image.Create(path, size); err != nil {
		t.Fatal(err)
	}
	if !format {
		return path
	}
	testenv.Program(t, "mkfs.ext4", "e2fsprogs")
	if err := image.Format(t.Context(), path, size, 0); err != nil {
		t.Fatal(err)
	}
	return path
}

func wantBytes(t *testing.T, path string, want int64) {
	t.Helper()
	if got, err := image.FilesystemBytes(path); err != nil || got != want {
		t.Errorf("file system has %d bytes, %v; want %d", got, err, want)
	}
}

func TestFormatFillsTheImageAndStaysSparse(t *testing.T) {
	for _, size := range []int64{8 * mib, 64 * mib, 10 << 30} {
		path := made(t, size, true)
		wantBytes(t, path, size)
		var stat unix.Stat_t
		if err := unix.Stat(path, &stat); err != nil {
			t.Fatal(err)
		}
		if used := stat.Blocks * 512; used > 6*mib {
			t.Errorf("an empty volume of %d bytes takes %d on disk", size, used)
		}
	}
}

func TestFormatNeverDestroysAFileSystem(t *testing.T) {
	path := made(t, 8*mib, true)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Format(t.Context(), path, 8*mib, 0); err == nil {
		t.Error("an image with a file system was formatted again")
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the image changed: %v", err)
	}
}

func TestCreateNeverReplacesAnImage(t *testing.T) {
	path := made(t, mib, false)
	if err := image.Create(path, mib); err == nil {
		t.Error("an image was made over another")
	}
}

func TestGrow(t *testing.T) {
	path := made(t, 8*mib, true)
	for _, size := range []int64{16 * mib, 12 * mib} { // the second would shrink it.
		if err := image.Grow(path, size); err != nil {
			t.Fatalf("grow: %v", err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 16*mib {
		t.Errorf("image: %v, %v; want 16 MiB", info, err)
	}
	wantBytes(t, path, 8*mib)
	for range 2 {
		if err := image.GrowUnmounted(t.Context(), path); err != nil {
			t.Fatalf("grow file system: %v", err)
		}
	}
	wantBytes(t, path, 16*mib)
}

func TestCopyKeepsContentAndHoles(t *testing.T) {
	source := made(t, 64*mib, false)
	file, err := os.OpenFile(source, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int64{0, 5*mib + 1, 64*mib - 10} {
		if _, err := file.WriteAt([]byte("some bytes"), offset); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	target := source + ".copy"
	if err := image.Copy(t.Context(), source, target); err != nil {
		t.Fatalf("copy: %v", err)
	}
	want, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the copy differs: %v", err)
	}
	if err := image.Copy(t.Context(), source, target); err == nil {
		t.Error("a copy was made over another image")
	}
	var stat unix.Stat_t
	if err := unix.Stat(target, &stat); err != nil || stat.Blocks*512 > mib {
		t.Errorf("the copy takes %d bytes on disk, %v; want it sparse", stat.Blocks*512, err)
	}
}

func TestDetect(t *testing.T) {
	if kind, err := image.Detect(made(t, mib, false)); err != nil || kind != image.Raw {
		t.Errorf("zeros: %s, %v", kind, err)
	}
	if kind, err := image.Detect(made(t, 8*mib, true)); err != nil || kind != image.Ext4 {
		t.Errorf("file system: %s, %v", kind, err)
	}
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if kind, err := image.Detect(short); err != nil || kind != image.Raw {
		t.Errorf("one byte: %s, %v", kind, err)
	}
	if _, err := image.FilesystemBytes(short); err == nil {
		t.Error("a file of one byte has a file system")
	}
}

func TestTemplatesAreMadeOnceAndComplete(t *testing.T) {
	testenv.Program(t, "mkfs.ext4", "e2fsprogs")
	dir := t.TempDir()
	templates, err := image.OpenTemplates(filepath.Join(dir, "templates"))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			path := filepath.Join(dir, fmt.Sprint(i))
			if err := templates.Make(t.Context(), path, 8*mib, 0); err != nil {
				t.Errorf("make: %v", err)
				return
			}
			wantBytes(t, path, 8*mib)
		})
	}
	all.Wait()
	if output, err := exec.CommandContext(t.Context(), "e2fsck", "-f", "-n",
		filepath.Join(dir, "19")).CombinedOutput(); err != nil {
		t.Errorf("a copy is damaged: %v: %s", err, output)
	}
	if err := templates.Make(t.Context(), filepath.Join(dir, "other"), 8*mib, 1<<20); err != nil {
		t.Errorf("make with another ratio: %v", err)
	}
	if err := templates.Make(t.Context(), filepath.Join(dir, "tiny"), 4096, 0); err == nil {
		t.Error("a file system was made in 4 KiB")
	}
	entries, err := os.ReadDir(filepath.Join(dir, "templates"))
	if err != nil || len(entries) != 2 {
		t.Errorf("templates: %v, %v; want two", entries, err)
	}
}
