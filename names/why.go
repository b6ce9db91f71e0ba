package names

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// Why says why a host can't be found that [Resolver.Host] was asked for and gave this error. "": no more is known.
func Why(host string, family Family, err error) string {
	dns, _ := errors.AsType[*net.DNSError](err)
	errno, _ := errors.AsType[syscall.Errno](err)
	unsuitable := errors.As(err, new(*net.AddrError)) // the name has addresses, perhaps not in the DNS but in /etc/hosts
	switch {
	case errors.Is(err, ErrNoName):
		return "the DNS has no such name: NXDOMAIN"
	case unsuitable && family == Any:
		return "the name has only IPv4-mapped IPv6 addresses (::ffff:...), which no packet is sent to"
	case unsuitable:
		return fmt.Sprintf("the name has no IPv%d address", family)
	case errors.Is(err, ErrNoAddress) && family == Any:
		return "the name is in the DNS, but has no address: neither A nor AAAA"
	case errors.Is(err, ErrNoAddress):
		return fmt.Sprintf("the name is in the DNS, but has no IPv%d address", family)
	case errors.Is(err, ErrNoServer) && errno != 0:
		return fmt.Sprintf("no name server could be reached: %v", errno)
	case errors.Is(err, ErrNoServer):
		return "no name server answered"
	case dns != nil && dns.IsTimeout:
		return "a name server did not answer"
	case dns != nil && !dns.IsNotFound:
		return "the name servers could not tell"
	case strings.Contains(host, "/"):
		return "give the host alone, or a whole URL"
	case strings.Contains(host, "@"):
		return "give the host alone, without a user's name"
	}
	return ""
}
