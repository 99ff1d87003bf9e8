// SPDX-License-Identifier: Apache-2.0

package loop_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/e2e/csi/loop"
	"github.com/s3populator/s3populator/e2e/csi/mount"
	"github.com/s3populator/s3populator/e2e/csi/roottest"
	"github.com/s3populator/s3populator/internal/testenv"
)

const size = 64 << 10

func TestMain(m *testing.M) { os.Exit(testenv.OwnMounts(m)) }

func backing(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, bytes.Repeat([]byte(name[:1]), size), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func attach(t *testing.T, path string, opts loop.Options) *loop.Handle {
	t.Helper()
	handle, err := loop.Attach(path, opts)
	if err != nil {
		t.Fatalf("attach: %v", err)
	}
	return handle
}

// wantDevices waits: the kernel frees a device when the last closes it, and other tests look at all devices.
func wantDevices(t *testing.T, path string, want ...string) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		used, err := loop.List()
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		diff := cmp.Diff(want, loop.Of(path, used))
		if diff == "" {
			return
		}
		if time.Since(begin) > roottest.Patience {
			t.Fatalf("devices of %s (-want +got):\n%s", path, diff)
		}
	}
}

func TestMoreDevicesThanTheMachineBeginsWith(t *testing.T) {
	dir := roottest.Dir(t)
	const count = 70 // machines often begin with 8.
	var all sync.WaitGroup
	devices := make([]string, count)
	for i := range count {
		all.Go(func() {
			handle, err := loop.Attach(backing(t, dir, fmt.Sprintf("%c-%d", 'a'+i%26, i)), loop.Options{})
			if err != nil {
				t.Errorf("attach: %v", err)
				return
			}
			devices[i] = handle.Path
			content, err := os.ReadFile(handle.Path)
			if err != nil || !bytes.Equal(content, bytes.Repeat([]byte{byte('a' + i%26)}, size)) {
				t.Errorf("%s shows another file: %v", handle.Path, err)
			}
			if err := errors.Join(handle.Close(), loop.Detach(handle.Path)); err != nil {
				t.Errorf("detach: %v", err)
			}
		})
	}
	all.Wait()
	if slices.Contains(devices, "") {
		t.Errorf("devices: %v, want %d", devices, count)
	}
}

func TestAutoClearEndsWithTheLastUser(t *testing.T) {
	dir := roottest.Dir(t)
	path := backing(t, dir, "image")
	handle := attach(t, path, loop.Options{AutoClear: true})
	wantDevices(t, path, handle.Path)
	if err := handle.Close(); err != nil {
		t.Fatal(err)
	}
	wantDevices(t, path)
}

func TestReadOnlyDeviceRefusesWrites(t *testing.T) {
	dir := roottest.Dir(t)
	path := backing(t, dir, "image")
	handle := attach(t, path, loop.Options{ReadOnly: true, AutoClear: true})
	defer func() { _ = handle.Close() }()
	device, err := os.OpenFile(handle.Path, os.O_RDWR, 0)
	if err == nil {
		_, err = device.WriteString("x")
		err = errors.Join(err, device.Sync(), device.Close())
	}
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		t.Errorf("write: %v, want it refused", err)
	}
}

func TestRefreshShowsTheGrownFile(t *testing.T) {
	dir := roottest.Dir(t)
	path := backing(t, dir, "image")
	handle := attach(t, path, loop.Options{AutoClear: true})
	defer func() { _ = handle.Close() }()
	if err := os.Truncate(path, 2*size); err != nil {
		t.Fatal(err)
	}
	if err := loop.Refresh(handle.Path); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(handle.Path); err != nil || len(content) != 2*size {
		t.Errorf("device has %d bytes, %v; want %d", len(content), err, 2*size)
	}
}

func TestDetachTwice(t *testing.T) {
	dir := roottest.Dir(t)
	path := backing(t, dir, "image")
	handle := attach(t, path, loop.Options{})
	if err := handle.Close(); err != nil {
		t.Fatal(err)
	}
	if err := loop.Detach(handle.Path); err != nil {
		t.Errorf("detach: %v", err)
	}
	wantDevices(t, path)
	if err := loop.Detach("/dev/loop-that-is-not"); err != nil {
		t.Errorf("detach what does not exist: %v", err)
	}
}

func TestDeviceOfADeletedFileIsFoundAndReleased(t *testing.T) {
	dir := roottest.Dir(t)
	path := backing(t, dir, "image")
	handle := attach(t, path, loop.Options{})
	above := attach(t, handle.Path, loop.Options{})
	if err := errors.Join(handle.Close(), above.Close(), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	got, err := loop.Under(dir)
	if diff := cmp.Diff([]string{handle.Path}, got); err != nil || diff != "" {
		t.Errorf("devices under the directory: %v (-want +got):\n%s", err, diff)
	}
	if sibling, err := loop.Under(dir[:len(dir)-1]); err != nil || len(sibling) != 0 {
		t.Errorf("devices under another directory that begins alike: %v, %v; want none", sibling, err)
	}
	if err := loop.ReleaseUnder(dir); err != nil {
		t.Errorf("release: %v", err)
	}
	wantDevices(t, path)
	wantDevices(t, handle.Path)
}

func TestDeviceOfAVanishedNamespaceIsReleased(t *testing.T) {
	dir := roottest.Dir(t)
	alias := filepath.Join(dir, "alias")
	data := filepath.Join(dir, "data")
	if err := errors.Join(os.Mkdir(alias, 0o700), os.Mkdir(data, 0o700), mount.Bind(data, alias, false)); err != nil {
		t.Fatal(err)
	}
	path := backing(t, data, "image")
	handle := attach(t, filepath.Join(alias, "image"), loop.Options{})
	// Once its mount is gone, the kernel shows the backing file without any directory.
	if err := errors.Join(handle.Close(), unix.Unmount(alias, unix.MNT_DETACH)); err != nil {
		t.Fatal(err)
	}
	wantDevices(t, path)
	wantDevices(t, "/image", handle.Path)
	if err := loop.ReleaseUnder(data); err != nil {
		t.Errorf("release: %v", err)
	}
	wantDevices(t, "/image")
}
