package names

import (
	"errors"
	"fmt"
	"io"
	"os"
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
// for concurrent use.
type Services struct {
	load func() table
}

// table holds for each port its name, and for each name or alias its port.
type table struct {
	names map[uint16]string
	ports map[string]uint16
}

// NewServices returns the services of a file in the format of services(5),
// usually [ServicesFile], and, where that is missing, can't be read or says
// nothing, of a short list of our own. The file is read at the first question,
// once.
func NewServices(path string) *Services {
	return &Services{load: sync.OnceValue(func() table {
		t := table{names: make(map[uint16]string), ports: make(map[string]uint16)}
		t.add(readServices(path))
		t.add(builtin)
		return t
	})}
}

// Service returns the name of a TCP port, as getservbyport(3) does; "" where it
// has none.
func (s *Services) Service(port uint16) string {
	return s.load().names[port]
}

// Port returns the port of a TCP service by its name or one of its aliases, as
// getservbyname(3) does: upper and lower case differ. The error wraps
// [ErrService]. A number is not a name: "80" is unknown.
func (s *Services) Port(name string) (uint16, error) {
	port, ok := s.load().ports[name]
	if !ok {
		return 0, fmt.Errorf("%w %q", ErrService, name)
	}
	return port, nil
}

// readServices returns what can be read of the file: what can't only leaves us
// with less to say.
func readServices(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	data, _ := io.ReadAll(io.LimitReader(f, maxServices))
	return string(data)
}

// add adds the TCP services of a text in the format of services(5):
//
//	name  port/protocol  [aliases ...]  [# comment]
//
// What came first stays. Lines of another form are passed over.
func (t table) add(text string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		number, ok := strings.CutSuffix(fields[1], "/tcp")
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			continue
		}
		port := uint16(n)
		if _, known := t.names[port]; !known {
			t.names[port] = fields[0]
		}
		for i, name := range fields {
			if _, known := t.ports[name]; !known && i != 1 {
				t.ports[name] = port
			}
		}
	}
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
