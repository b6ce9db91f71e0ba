package names

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// services returns those of a file with this text.
func services(t testing.TB, text string) (s *Services, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return NewServices(path), path
}

const sample = `# Network services, Internet style
tcpmux		1/tcp				# TCP port service multiplexer
tftp		69/udp
web		80/tcp		http www		# not what it is called elsewhere
other		80/tcp		second
  indented	81/tcp
bare 82/tcp#comment
domain		53/udp
dual 5000/udp up
dual 5001/tcp
alias2		99/tcp		web
# gone	83/tcp
gone2 # 84/tcp
upper 85/TCP
none 86
none
/tcp
space 87 /tcp
big 65536/tcp
huge 99999999999999999999/tcp
minus -1/tcp
plus +88/tcp
hex 0x59/tcp
empty /tcp
max 65535/tcp
sctp 90/sctp
crlf 91/tcp` + "\r\n" + `last 92/tcp end`

func TestServices(t *testing.T) {
	s, _ := services(t, sample)
	for port, want := range map[uint16]string{
		1: "tcpmux", 69: "", 80: "web", 81: "indented", 82: "bare", 99: "alias2",
		5000: "", 5001: "dual", 83: "", 84: "", 85: "", 86: "", 87: "", 88: "kerberos", 89: "", 90: "",
		91: "crlf", 92: "last", 65535: "max", 0: "",
		// From our own list, where the file says nothing of TCP:
		53: "domain", 443: "https",
	} {
		if got := s.Service(port); got != want {
			t.Errorf("Service(%d) = %q, want %q", port, got, want)
		}
	}
	for name, want := range map[string]uint16{
		"tcpmux": 1, "web": 80, "http": 80, "www": 80, "other": 80, "second": 80, "indented": 81, "bare": 82,
		"dual": 5001, "alias2": 99, "crlf": 91, "last": 92, "end": 92, "max": 65535,
		"domain": 53, "https": 443, "ssh": 22,
	} {
		if got, err := s.Port(name); err != nil || got != want {
			t.Errorf("Port(%q) = %d, %v; want %d", name, got, err, want)
		}
	}
	for _, name := range []string{
		"", "tftp", "up", "HTTP", "80", "1/tcp", "80/tcp", "#", "gone", "gone2", "upper", "none", "space", "big",
		"huge", "minus", "plus", "hex", "empty", "sctp", "nosuch",
	} {
		if got, err := s.Port(name); !errors.Is(err, ErrService) || !strings.Contains(err.Error(), strconv.Quote(name)) {
			t.Errorf("Port(%q) = %d, %v; want ErrService with the name", name, got, err)
		}
	}
}

func TestServicesWithoutAFile(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "missing"), dir, ""} {
		s := NewServices(path)
		port, err := s.Port("www")
		if got := s.Service(80); got != "http" || port != 80 || err != nil {
			t.Errorf("%q: port 80 is %q, www is %d, %v", path, got, port, err)
		}
	}
}

// Every line of our own list counts, and none speaks for a port or a name twice.
func TestBuiltin(t *testing.T) {
	s := NewServices("")
	seen := make(map[string]bool)
	lines := strings.Split(strings.TrimSpace(builtin), "\n")
	for _, line := range lines {
		fields := strings.Fields(line)
		number, _ := strings.CutSuffix(fields[1], "/tcp")
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if got := s.Service(uint16(port)); got != fields[0] {
			t.Errorf("port %d is %q, want %q", port, got, fields[0])
		}
		for _, word := range fields {
			if seen[word] {
				t.Errorf("%q stands there twice", word)
			}
			seen[word] = true
		}
	}
	if len(lines) < 40 {
		t.Errorf("only %d lines", len(lines))
	}
}

func TestServicesAreReadOnceAndLate(t *testing.T) {
	s, path := services(t, "before 7000/tcp\n")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("then 7000/tcp\n")
	if got := s.Service(7000); got != "then" {
		t.Errorf("port 7000 is %q: the file was read before it was needed", got)
	}
	write("after 7000/tcp\n")
	if got := s.Service(7000); got != "then" {
		t.Errorf("port 7000 is %q: the file was read again", got)
	}
	if _, err := s.Port("after"); err == nil {
		t.Error("the file was read again for a name")
	}
}

func TestServicesFileIsBounded(t *testing.T) {
	const first, line = "first 7000/tcp\n", "# nothing\n"
	s, _ := services(t, first+strings.Repeat(line, maxServices/len(line))+"beyond 7001/tcp\n")
	if a, b := s.Service(7000), s.Service(7001); a != "first" || b != "" {
		t.Errorf("ports 7000 and 7001 are %q and %q, want only the first", a, b)
	}
}

func BenchmarkService(b *testing.B) {
	s, _ := services(b, sample)
	for port := uint16(0); b.Loop(); port++ {
		s.Service(port)
	}
}

// scan is getservbyport and getservbyname by the book: the first line that fits.
func scan(text string, port int, name string) (string, int) {
	for _, line := range strings.Split(text, "\n") {
		if i := strings.IndexByte(line, '#'); i >= 0 {
			line = line[:i]
		}
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		number, proto, _ := strings.Cut(words[1], "/")
		n, err := strconv.Atoi(number)
		if err != nil || proto != "tcp" || n < 0 || n > 65535 || strings.ContainsAny(number, "+-") {
			continue
		}
		if n == port || name != "" && (words[0] == name || slices.Contains(words[2:], name)) {
			return words[0], n
		}
	}
	return "", -1
}

func FuzzServices(f *testing.F) {
	f.Add(sample)
	f.Add(builtin)
	f.Add("a 1/tcp b\na 2/tcp\nb 1/tcp\n")
	f.Add("a\t1/tcp\x00\na\v2/tcp\f#\n\r3/tcp")
	f.Fuzz(func(t *testing.T, text string) {
		s := &Services{load: func() string { return text }}
		both := text + "\n" + builtin
		for _, word := range append(strings.Fields(text), "http", "www", "80") {
			_, want := scan(both, -1, word)
			port, err := s.Port(word)
			if err != nil && want >= 0 || err == nil && int(port) != want {
				t.Errorf("%q is %d, %v, want %d", word, port, err, want)
			}
			if err != nil {
				continue
			}
			if want, _ := scan(both, int(port), ""); s.Service(port) != want {
				t.Errorf("port %d is %q, want %q", port, s.Service(port), want)
			}
		}
		for port := range uint16(100) {
			if want, _ := scan(both, int(port), ""); s.Service(port) != want {
				t.Errorf("port %d is %q, want %q", port, s.Service(port), want)
			}
		}
	})
}
