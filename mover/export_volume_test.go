// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"crypto/md5"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/wire"
)

// newExport prepares an export of a volume to below runs/1/.
func newExport(t testing.TB, endpoint string) *bench {
	t.Helper()
	b := newBench(t, endpoint)
	b.request = wire.Request{
		Operation:   wire.Export,
		Source:      wire.Source{Endpoint: endpoint, Bucket: testBucket, Region: "us-east-1", Prefix: "runs/1/"},
		Volume:      wire.Volume{Mode: wire.Filesystem, ClaimUID: testClaim},
		Credentials: wire.Credentials{Kind: wire.SecretFiles, Name: "s3-creds"},
		Export:      wire.ExportOptions{Run: "run-1"},
		Attempt:     1,
	}
	return b
}

// startMinIO runs MinIO over a fresh directory, with a bucket in it.
func startMinIO(t testing.TB) *s3server {
	t.Helper()
	binary := testenv.Variable(t, "MOVER_TEST_MINIO")
	dir := t.TempDir()
	address := listening(t, binary, func(address string) []string { return []string{"server", "--address", address, dir} })
	return ready(t, &s3server{endpoint: "http://" + address})
}

// eachServer runs a test with each of the servers that answer uploads in their own way.
func eachServer(t *testing.T, test func(t *testing.T, s *s3server)) {
	t.Helper()
	t.Run("VersityGW", func(t *testing.T) { test(t, startVersity(t)) })
	t.Run("MinIO", func(t *testing.T) { test(t, startMinIO(t)) })
}

// populate fills another volume from what was exported.
func (b *bench) populate(change func(*wire.Request)) (*bench, wire.Report) {
	b.t.Helper()
	p := newBench(b.t, b.request.Source.Endpoint)
	p.request.Source.Prefix = b.request.Source.Prefix
	p.request.Policy = wire.Policy{RestoreAttributes: true, OnEmpty: wire.Allow}
	if change != nil {
		change(&p.request)
	}
	report := p.run()
	return p, report
}

func (b *bench) file(name, content string) {
	b.t.Helper()
	write(b.t, filepath.Join(b.paths.Volume, name), content)
}

// settle makes everything on the volume old enough for its time to be believed.
func (b *bench) settle() {
	b.t.Helper()
	past := time.Now().Add(-time.Hour)
	mustDo(b.t, filepath.WalkDir(b.paths.Volume, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return os.Chtimes(path, past, past)
	}))
}

// object is the content of an object.
func (s *s3server) object(t testing.TB, key string) string {
	t.Helper()
	o, err := s.client.GetObject(t.Context(), testBucket, key, minio.GetObjectOptions{})
	mustDo(t, err)
	text, err := io.ReadAll(o)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	return string(text)
}

// keys are those below a prefix.
func (s *s3server) keys(t testing.TB, prefix string) []string {
	t.Helper()
	keys := []string{}
	below := minio.ListObjectsOptions{Prefix: prefix, Recursive: true}
	for o := range s.client.ListObjects(t.Context(), testBucket, below) {
		mustDo(t, o.Err)
		keys = append(keys, strings.TrimPrefix(o.Key, prefix))
	}
	return keys
}

// uploads are the keys of multipart uploads that are not complete.
func (s *s3server) uploads(t testing.TB) []string {
	t.Helper()
	r, err := (minio.Core{Client: s.client}).ListMultipartUploads(t.Context(), testBucket, "", "", "", "", 1000)
	mustDo(t, err)
	var keys []string
	for _, u := range r.Uploads {
		keys = append(keys, u.Key)
	}
	return keys
}

// tree is everything on a volume by path, with what an export keeps of it.
func tree(t testing.TB, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	mustDo(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		var s unix.Stat_t
		if err := unix.Lstat(path, &s); err != nil {
			return err
		}
		what := fmt.Sprintf("mode %o owner %d:%d", s.Mode, s.Uid, s.Gid)
		if s.Mode&unix.S_IFMT != unix.S_IFLNK {
			names := make([]byte, 4096)
			n, _ := unix.Llistxattr(path, names)
			for name := range strings.SplitSeq(string(names[:max(n, 0)]), "\x00") {
				if strings.HasPrefix(name, "user.") {
					value := make([]byte, 4096)
					n, _ := unix.Lgetxattr(path, name, value)
					what += fmt.Sprintf(" %s=%q", name, value[:max(n, 0)])
				}
			}
		}
		what += " time " + strconv.FormatInt(s.Mtim.Nano(), 10)
		switch s.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			what += fmt.Sprintf(" content %x", md5.Sum(text))
		case unix.S_IFLNK:
			target, _ := os.Readlink(path)
			what += fmt.Sprintf(" to %q", target)
		}
		all[strings.TrimPrefix(path, root+"/")] = what
		return nil
	}))
	return all
}

// odd fills a volume with about 500 entries of every kind.
func (b *bench) odd() {
	b.t.Helper()
	root := b.paths.Volume
	names := []string{
		"plain", "with space", " leading", "trailing ", "-rf", "--help", ".hidden", "..double", "a%41b",
		"100%", "a+b", "a&b=c?d#e",
		"new\nline", "tab\tbed", "cr\rret", "ü-NFC", "u\u0308-NFD", "日本語", "emoji-😀", "quote'\"`",
		"back\\slash", "semi;colon", "star*[x]{y}",
		"dollar$HOME", "~", "null-like-%00", "<xml>&amp;", strings.Repeat("n", 255), "CON", "a..b",
		"manifest.json", "\u2028sep", "\x7fdel",
	}
	modes := []os.FileMode{0o600, 0o644, 0o755, 0o400, 0o444, 0o777, 0o640, 0o751}
	for d := range 14 {
		dir := filepath.Join("dir", names[d], "sub"+strconv.Itoa(d))
		for i, name := range names {
			b.file(filepath.Join(dir, name), strings.Repeat(name, i*d))
			path := filepath.Join(root, dir, name)
			mustDo(b.t, os.Chmod(path, modes[(i+d)%len(modes)]))
			mustDo(b.t, os.Chtimes(path, time.Time{}, time.Unix(int64(1_000_000_000+i*77_777-d*2e9/14), int64(i)*1000+1)))
		}
	}
	b.file("one part less a byte", strings.Repeat("x", 16<<20-1))
	mustDo(b.t, os.WriteFile(filepath.Join(root, "three parts"), content(3, 33<<20+5), 0o640))
	for link, target := range map[string]string{
		"inside": "dir/plain", "outside": "/etc/passwd", "dangling": "no/such/file", "to-dir": "dir", "up": "../../..",
		"dir/plain/odd\nlink": "a b\xffc",
	} {
		mustDo(b.t, os.Symlink(target, filepath.Join(root, link)))
		mustDo(b.t, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(root, link),
			[]unix.Timespec{unix.NsecToTimespec(5e9), unix.NsecToTimespec(6e9 + 7)}, unix.AT_SYMLINK_NOFOLLOW))
	}
	mustDo(b.t, os.Link(filepath.Join(root, "dir/plain/sub0/plain"), filepath.Join(root, "hard")))
	for _, x := range [][3]string{
		{"three parts", "user.a", "1"}, {"dir", "user.\xfe", "\x00"}, {"hard", "user.empty", ""},
	} {
		if err := unix.Setxattr(filepath.Join(root, x[0]), x[1], []byte(x[2]), 0); err != nil {
			b.t.Logf("no attributes here: %v", err)
		}
	}
	for dir, mode := range map[string]os.FileMode{
		"empty": 0o700, "empty/deep/er": 0o755 | os.ModeSticky, "empty/read-only": 0o555,
	} {
		mustDo(b.t, os.MkdirAll(filepath.Join(root, dir), 0o755))
		mustDo(b.t, os.Chmod(filepath.Join(root, dir), mode))
	}
	if os.Geteuid() == 0 {
		mustDo(b.t, os.Chown(filepath.Join(root, "hard"), 1234, 5678))
		mustDo(b.t, os.Lchown(filepath.Join(root, "dangling"), 1, 2))
	}
	mustDo(b.t, os.Chmod(filepath.Join(root, "hard"), 0o755|os.ModeSetuid))
	mustDo(b.t, os.Chtimes(filepath.Join(root, "dir"), time.Time{}, time.Unix(-86400, 999)))
}
