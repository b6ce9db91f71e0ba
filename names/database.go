package names

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Database is an MMDB file that says who runs the network of an address. It is
// safe for concurrent use.
type Database struct {
	path string
	db   *maxminddb.Reader
}

// mostDatabase is how long an MMDB file may be: four times the largest that are sold.
const mostDatabase = 1 << 30

// OpenDatabase reads an MMDB file into memory. A mapped file would be read where it is needed, but whoever cuts it
// off ends this program (SIGBUS), and whoever writes over it makes it give wrong answers. Of 60 MB that costs 60 MB
// of memory, and 15 ms where the file is in the system's cache.
func OpenDatabase(path string) (*Database, error) {
	b, err := readFile(path, mostDatabase)
	var system *fs.PathError
	switch {
	case errors.As(err, &system):
		return nil, fmt.Errorf("database %s: %w", path, system.Err)
	case err != nil:
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	db, err := maxminddb.OpenBytes(b)
	if err != nil {
		return nil, fmt.Errorf("database %s: not an MMDB file (%w)", path, err)
	}
	return &Database{path, db}, nil
}

// Databases are MMDB files, in the order in which they are asked.
type Databases []*Database

// OpenDatabases reads the files that a user named, which must be good, and the usual ones, of which those that are no
// good are left out: bad says why. Close them in the end; after an error none is left open.
func OpenDatabases(named, usual []string) (all Databases, bad []error, err error) {
	for _, path := range named {
		d, err := OpenDatabase(path)
		if err != nil {
			all.Close()
			return nil, nil, err
		}
		all = append(all, d)
	}
	for _, path := range usual {
		d, err := OpenDatabase(path)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		all = append(all, d)
	}
	return all, bad, nil
}

// Close closes the files, when nobody looks into them any more.
func (all Databases) Close() {
	for _, d := range all {
		d.Close() // of a file that is only read
	}
}

// checkFile says why a file is no regular one.
func checkFile(info fs.FileInfo, err error) error {
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("is a directory")
	case !info.Mode().IsRegular():
		return errors.New("is not a regular file")
	}
	return nil
}

// readFile reads a regular file whole. It waits for nobody at the other end of a FIFO, and reads no device, which may
// have no end.
func readFile(path string, most int64) ([]byte, error) {
	if err := checkFile(os.Stat(path)); err != nil { // what a sandbox doesn't let us open is named for what it is
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err := checkFile(before, err); err != nil {
		return nil, err
	}
	if before.Size() > most {
		return nil, fmt.Errorf("is longer than %d MiB", most>>20)
	}
	b := make([]byte, before.Size())
	if _, err := io.ReadFull(f, b); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if after, err := f.Stat(); err != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return nil, errors.New("changed while it was read")
	}
	return b, nil
}

// Close lets go of the file. Nothing may be asked any more.
func (d *Database) Close() error { return d.db.Close() }

// Owner is what the file says of an address. ok is false where that is nothing.
func (d *Database) Owner(a netip.Addr) (o Owner, ok bool) {
	r := d.db.Lookup(a.Unmap().WithZone(""))
	if !r.Found() {
		return Owner{}, false
	}
	text := func(path ...any) string {
		var s string
		if r.DecodePath(&s, path...) != nil { // another type, or the file is damaged
			return ""
		}
		return s[:min(len(s), maxName)]
	}
	first := func(paths ...[]any) (s string) {
		for _, p := range paths {
			if s = text(p...); s != "" {
				return s
			}
		}
		return ""
	}
	var n uint32
	if r.DecodePath(&n, "autonomous_system_number") == nil && n != 0 { // MaxMind, DB-IP
		o.ASN = n
		o.Name = text("autonomous_system_organization")
	} else if n, ok := parseASN(first([]any{"asn"}, []any{"as_number"})); ok { // IPinfo
		o.ASN = n
		o.Name = first([]any{"as_name"}, []any{"name"}, []any{"as_domain"})
	}
	o.Country = country(first([]any{"country", "iso_code"}, []any{"registered_country", "iso_code"},
		[]any{"country_code"}, []any{"country"}))
	return o, o != Owner{}
}

// parseASN reads "AS13335" or "13335".
func parseASN(s string) (asn uint32, ok bool) {
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimPrefix(s, "AS"), "as"), 10, 32)
	return uint32(n), err == nil && n != 0
}

// country is a country's code of two letters, "" for anything else.
func country(s string) string {
	if len(s) != 2 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return ""
	}
	return s
}

// The usual files, those first that are looked at first, and where they lie. DB-IP's have the month in their names.
var (
	databaseNames = []string{
		"GeoLite2-ASN.mmdb", "GeoIP2-ISP.mmdb", "dbip-asn-lite*.mmdb", "dbip-asn*.mmdb",
		"ipinfo_lite.mmdb", "country_asn.mmdb", "asn.mmdb",
		"GeoLite2-Country.mmdb", "GeoIP2-Country.mmdb", "dbip-country*.mmdb", "GeoLite2-City.mmdb", "country.mmdb",
	}
	databaseDirs     = []string{"/usr/share/GeoIP", "/var/lib/GeoIP", "/usr/local/share/GeoIP"}
	databaseHomeDirs = []string{".local/share/GeoIP", ".local/share/tcptraceroute"}
)

// FindDatabases looks for the usual files in the usual places, and in those below home ("" for none): of each name the
// newest, by name, in the first place that has it.
func FindDatabases(home string) []string {
	dirs := slices.Clone(databaseDirs)
	if filepath.IsAbs(home) {
		for _, d := range databaseHomeDirs {
			dirs = append(dirs, filepath.Join(home, d))
		}
	}
	return findDatabases(dirs)
}

func findDatabases(dirs []string) (found []string) {
	var files [][]string // of each directory
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir) // sorted
		if err != nil {
			continue // not there, or not for this user
		}
		var names []string
		for _, e := range entries {
			names = append(names, filepath.Join(dir, e.Name()))
		}
		files = append(files, names)
	}
	for _, name := range databaseNames {
		for _, names := range files {
			i := len(names) - 1
			for i >= 0 && !matches(name, filepath.Base(names[i])) {
				i--
			}
			if i >= 0 {
				if !slices.Contains(found, names[i]) {
					found = append(found, names[i])
				}
				break
			}
		}
	}
	return found
}

func matches(pattern, name string) bool {
	ok, _ := filepath.Match(pattern, name)
	return ok
}
