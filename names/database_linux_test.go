package names

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// asnFile was written by the maker of the format's own writer: AS64500 EXAMPLE has 198.18.0.0/16, AS64501 EXAMPLE6 2001:db8::/32.
const asnFile = "testdata/asn.mmdb"

func checkOwners(t *testing.T, d *Database) {
	t.Helper()
	for a, want := range map[string]Owner{
		"198.18.1.2": {64500, "EXAMPLE", ""}, "2001:db8::1": {64501, "EXAMPLE6", ""}, "198.19.0.1": {},
	} {
		if got, _ := d.Owner(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %+v, want %+v", a, got, want)
		}
	}
}

// What happens to a file while it is in use is no matter: it is cut off, written over, replaced and removed.
func TestDatabaseChangedInUse(t *testing.T) {
	whole, err := os.ReadFile(asnFile)
	if err != nil {
		t.Fatal(err)
	}
	damaged := slices.Repeat([]byte{0xff}, len(whole))
	for name, change := range map[string]func(path string) error{
		"nothing":      func(string) error { return nil },
		"cut off":      func(path string) error { return os.Truncate(path, 0) },
		"written over": func(path string) error { return os.WriteFile(path, damaged, 0o600) },
		"replaced": func(path string) error {
			if err := os.WriteFile(path+".new", damaged, 0o600); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		},
		"removed": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.mmdb")
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			d, err := OpenDatabase(path)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			checkOwners(t, d)
		})
	}
}

// What is no regular file is an error at once: a FIFO that nobody writes to, a device without an end, a directory; and so is a
// file that is longer than may be read.
func TestDatabaseNoFile(t *testing.T) {
	dir := t.TempDir()
	fifo, socket, link := filepath.Join(dir, "fifo"), filepath.Join(dir, "socket"), filepath.Join(dir, "link")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: socket}); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(fifo, link); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(dir, "long")
	if f, err := os.Create(long); err != nil || f.Truncate(mostDatabase+1) != nil || f.Close() != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		fifo: "is not a regular file", link: "is not a regular file", "/dev/zero": "is not a regular file",
		"/dev/null": "is not a regular file", socket: "is not a regular file", dir: "is a directory",
		long: "is longer than 1024 MiB",
	} {
		d, err := OpenDatabase(path)
		if err == nil {
			d.Close()
			t.Errorf("%s: no error", path)
			continue
		}
		if want = "database " + path + ": " + want; err.Error() != want || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// BenchmarkOpenDatabase is the cost of a large file: 60 MB that are mostly data.
func BenchmarkOpenDatabase(b *testing.B) {
	whole, err := os.ReadFile(asnFile)
	if err != nil {
		b.Fatal(err)
	}
	at := strings.LastIndex(string(whole), "\xab\xcd\xefMaxMind.com")
	big := slices.Concat(whole[:at], make([]byte, 60_000_000), whole[at:])
	path := filepath.Join(b.TempDir(), "x.mmdb")
	if err := os.WriteFile(path, big, 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		d, err := OpenDatabase(path)
		if err != nil {
			b.Fatal(err)
		}
		d.Close()
	}
}
