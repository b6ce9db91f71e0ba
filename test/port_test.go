package test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.example/tcptraceroute/lab"
)

// takes is the router that the kernel sends a connection's packets to, on the router before the branches.
func takes(t *testing.T, m *lab.Mesh, v4 bool, port string) *lab.Host {
	t.Helper()
	target, source := addressOf(m.Target.Interfaces[0], v4), addressOf(m.Source.Interfaces[0], v4)
	out := m.Split.IP(t, fmt.Sprintf("route get %s from %s iif eth0 ipproto tcp sport %s dport 80", target, source, port))
	for _, h := range m.Middle {
		if strings.Contains(out, " via "+addressOf(h.Interfaces[0], v4)+" ") {
			return h
		}
	}
	t.Fatalf("no router in %q", out)
	return nil
}

// --port-for prints a port whose connections the kernel of the balancing router sends by that router, and -p PORT --paths
// says which path they take. Of a router that looks at flow labels and no ports, nothing is claimed.
func TestPortFor(t *testing.T) {
	t.Parallel()
	m := lab.Diamond(t, lab.DiamondOptions{Width: 4})
	m.Target.Listen(t, 80)
	bin := program(t)
	for _, v4 := range []bool{true, false} {
		target := addressOf(m.Target.Interfaces[0], v4)
		for _, h := range m.Middle {
			router := addressOf(h.Interfaces[0], v4)
			out := run(t, m.Source, bin, "-n", "--port-for", router, target, "80")
			port := strings.TrimSuffix(out.stdout, "\n")
			if _, err := strconv.ParseUint(port, 10, 16); err != nil || out.code != 0 {
				t.Fatalf("%s: %v", router, out)
			}
			if got := takes(t, m, v4, port); got != h {
				t.Errorf("port %s is to go by %s and goes by %s\n%v", port, h.Name, got.Name, out)
			}
		}
		if out := run(t, m.Source, bin, "-n", "--port-for", "9", target, "80"); out.code != 1 || out.stdout != "" {
			t.Errorf("%v", out)
		}
		for _, port := range []string{"33333", "33334", "33335"} {
			out := run(t, m.Source, bin, "-n", "--paths", "-p", port, target, "80")
			said := regexp.MustCompile(`\nSource port ` + port + ` takes path (\d)`).FindStringSubmatch(out.stdout)
			if said == nil {
				t.Fatalf("%v", out)
			}
			label := regexp.MustCompile(`(?m)^ +` + said[1] + ` .* (2[a-d])( |$)`).FindStringSubmatch(out.stdout)
			if label == nil || !strings.Contains(out.stdout, "\n"+label[1]+"  "+addressOf(takes(t, m, v4, port).Interfaces[0], v4)+" ") {
				t.Errorf("port %s goes by %s\n%v", port, takes(t, m, v4, port).Name, out)
			}
		}
	}
	m.Split.Sysctl(t, "net.ipv6.fib_multipath_hash_policy", "0") // addresses and flow label
	out := run(t, m.Source, bin, "-n", "--port-for", "1", addressOf(m.Target.Interfaces[0], false), "80")
	if out.code != 1 || out.stdout != "" || !strings.Contains(out.stderr, "may look at the flow label") {
		t.Errorf("%v", out)
	}
}
