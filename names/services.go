package names

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// ServicesFile is where the system keeps its services: services(5).
const ServicesFile = "/etc/services"

// maxServices bounds what is read of it, in bytes. The longest in use, with all
// that IANA has assigned, are well below 1 MiB.
const maxServices = 4 << 20

// ErrService tells that no TCP service has the name.
var ErrService = errors.New("unknown TCP service")

// Services knows the names of TCP ports. It is made by [NewServices] and safe
// for concurrent use. A trace asks it once or twice, so it looks through the text
// each time instead of making a table of it.
type Services struct {
	load func() string
}

// NewServices returns the services of a file in the format of services(5),
// usually [ServicesFile], and, where that is missing, can't be read or says
// nothing, of a short list of our own. The file is read at the first question,
// once.
func NewServices(path string) *Services {
	return &Services{load: sync.OnceValue(func() string { return readServices(path) })}
}

// Service returns the name of a TCP port, as getservbyport(3) does; "" where it
// has none.
func (s *Services) Service(port uint16) string {
	for words, p := range s.all {
		if p == port {
			return words[0]
		}
	}
	return ""
}

// Port returns the port of a TCP service by its name or one of its aliases, as
// getservbyname(3) does: upper and lower case differ. The error wraps
// [ErrService]. A number is not a name: "80" is unknown.
func (s *Services) Port(name string) (uint16, error) {
	for words, p := range s.all {
		if words[0] == name || slices.Contains(words[2:], name) {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%w %q", ErrService, name)
}

// all goes through the TCP services, those of the file first:
//
//	name  port/protocol  [aliases ...]  [# comment]
//
// What came first counts. Lines of another form are passed over.
func (s *Services) all(yield func(words []string, port uint16) bool) {
	for _, text := range [...]string{s.load(), builtin} {
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(line, "#")
			if !strings.Contains(line, "/tcp") {
				continue
			}
			words := strings.Fields(line)
			if len(words) < 2 {
				continue
			}
			number, ok := strings.CutSuffix(words[1], "/tcp")
			if !ok {
				continue
			}
			if n, err := strconv.ParseUint(number, 10, 16); err == nil && !yield(words, uint16(n)) {
				return
			}
		}
	}
}

// readServices returns what can be read of the file: what can't only leaves us
// with less to say.
func readServices(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	var b strings.Builder
	if info, err := f.Stat(); err == nil {
		b.Grow(int(min(info.Size(), maxServices)) + 1)
	}
	io.Copy(&b, io.LimitReader(f, maxServices)) // an error: we go on with what has come
	return b.String()
}

// builtin holds what people trace to, for a machine without the file, by the
// names of the IANA registry, or of Debian's file where the two differ.
const builtin = `
ftp            21/tcp
ssh            22/tcp
telnet         23/tcp
smtp           25/tcp  mail
whois          43/tcp
domain         53/tcp
http           80/tcp  www
kerberos       88/tcp
pop3          110/tcp
sunrpc        111/tcp
nntp          119/tcp
netbios-ssn   139/tcp
imap2         143/tcp  imap
bgp           179/tcp
ldap          389/tcp
https         443/tcp
microsoft-ds  445/tcp
submissions   465/tcp  smtps
printer       515/tcp
rtsp          554/tcp
submission    587/tcp
ldaps         636/tcp
domain-s      853/tcp
rsync         873/tcp
imaps         993/tcp
pop3s         995/tcp
socks        1080/tcp
ms-sql-s     1433/tcp
nfs          2049/tcp
iscsi-target 3260/tcp
mysql        3306/tcp
ms-wbt-server 3389/tcp
sip          5060/tcp
sip-tls      5061/tcp
xmpp-client  5222/tcp
xmpp-server  5269/tcp
postgresql   5432/tcp
amqps        5671/tcp
amqp         5672/tcp
x11          6000/tcp
redis        6379/tcp
ircs-u       6697/tcp
http-alt     8080/tcp
git          9418/tcp
`
