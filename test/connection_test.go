package test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"go.example/tcptraceroute/lab"
)

// transfer is a connection on which data flow one way for as long as it is wanted.
type transfer struct {
	net.Conn
	end  chan bool
	sums chan [2][32]byte // of what was sent, and of what came in
}

// begin opens a connection to a host's port, and lets data flow to this end, or to the other one.
func begin(t *testing.T, from *lab.Host, l net.Listener, target string, away bool) *transfer {
	t.Helper()
	x := &transfer{end: make(chan bool), sums: make(chan [2][32]byte, 1)}
	var err error
	from.Do(t, func() { x.Conn, err = net.Dial("tcp", target) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	writer, reader := there, x.Conn
	if away {
		writer, reader = reader, writer
	}
	sent, came := sha256.New(), sha256.New()
	failed := make(chan error, 1)
	go func() {
		defer writer.Close()
		data := rand.NewChaCha8([32]byte{1})
		for {
			select {
			case <-x.end:
				failed <- nil
				return
			default:
			}
			if _, err := io.CopyN(io.MultiWriter(writer, sent), data, 4000); err != nil {
				failed <- err
				return
			}
		}
	}()
	go func() {
		_, err := io.Copy(came, reader)
		if err := errors.Join(err, <-failed); err != nil {
			t.Error(err)
		}
		x.sums <- [2][32]byte{[32]byte(sent.Sum(nil)), [32]byte(came.Sum(nil))}
	}()
	return x
}

// finish ends the transfer and compares what was sent with what came in.
func (x *transfer) finish(t *testing.T) {
	t.Helper()
	close(x.end)
	if sums := <-x.sums; sums[0] != sums[1] {
		t.Error("what came in isn't what was sent")
	}
}

// The trace of an open connection goes the way that the kernel of the balancing router sends that connection, and does it
// no harm: what was sent comes in whole. If the target is nearer than it seems, probes get there, and do no harm either.
func TestConnection(t *testing.T) {
	t.Parallel()
	m := lab.Diamond(t, lab.DiamondOptions{Width: 4})
	l := m.Target.Listen(t, 80)
	bin := program(t)
	for _, seems := range []int{4, 6} {
		m.Target.Sysctl(t, "net.ipv4.ip_default_ttl", fmt.Sprint(64-(seems-4)))
		m.Target.Sysctl(t, "net.ipv6.conf.all.hop_limit", fmt.Sprint(64-(seems-4)))
		m.Target.Sysctl(t, "net.ipv6.conf.eth0.hop_limit", fmt.Sprint(64-(seems-4)))
		for _, v4 := range []bool{true, false} {
			x := begin(t, m.Source, l, net.JoinHostPort(addressOf(m.Target.Interfaces[0], v4), "80"), seems == 4)
			ends := x.LocalAddr().String() + "-" + x.RemoteAddr().String()
			port := fmt.Sprint(x.LocalAddr().(*net.TCPAddr).Port)
			before := m.Target.Counters(t)["TcpOutRsts"] + m.Source.Counters(t)["TcpOutRsts"]
			out := run(t, m.Source, bin, "-n", "--connection", ends)
			way := regexp.MustCompile(`(?m)^ 2  (\S+) `).FindStringSubmatch(out.stdout)
			if way == nil || out.code != 0 || !strings.Contains(out.stderr, fmt.Sprintf("about %d hops away", seems)) {
				t.Fatalf("%v", out)
			}
			if want := addressOf(takes(t, m, v4, port).Interfaces[0], v4); way[1] != want {
				t.Errorf("the trace goes by %s, the connection by %s\n%v", way[1], want, out)
			}
			// The kernel is asked about ports alone; over a veth the connection's packets bring a hash along.
			if !strings.Contains(out.stderr, "packets leave by eth0, a veth.") {
				t.Errorf("that the connection may go elsewhere isn't said\n%v", out)
			}
			if strings.Contains(out.stdout, "["+addressOf(m.Target.Interfaces[0], v4)) {
				t.Errorf("the target was taken for a hop\n%v", out)
			}
			x.finish(t)
			if after := m.Target.Counters(t)["TcpOutRsts"] + m.Source.Counters(t)["TcpOutRsts"]; after != before {
				t.Errorf("%d resets\n%v", after-before, out)
			}
		}
	}
	// The one of this process is found; several are listed.
	x := begin(t, m.Source, l, net.JoinHostPort(m.Target.V4().String(), "80"), false)
	pid := fmt.Sprint(os.Getpid())
	ends := x.LocalAddr().String() + "-" + x.RemoteAddr().String()
	if out := run(t, m.Source, bin, "-n", "--pid", pid); out.code != 0 || !strings.Contains(out.stdout, " 3  ") {
		t.Errorf("%v", out)
	}
	y := begin(t, m.Source, l, net.JoinHostPort(m.Target.V4().String(), "80"), true)
	if out := run(t, m.Source, bin, "-n", "--pid", pid); out.code != 1 || !strings.Contains(out.stdout, ends+"\n") ||
		!strings.Contains(out.stderr, "has 2 connections: choose one by --connection") {
		t.Errorf("%v", out)
	}
	x.finish(t)
	y.finish(t)
}

// What is no open connection of this host is refused with the reason.
func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	p := lab.Chain(t, lab.ChainOptions{Hops: 3})
	p.Target.Listen(t, 80)
	var idle net.Conn
	var err error
	p.Source.Do(t, func() {
		idle, err = (&net.Dialer{KeepAlive: -1}).Dial("tcp", net.JoinHostPort(p.Target.V4().String(), "80"))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	ends := idle.LocalAddr().String() + "-" + idle.RemoteAddr().String()
	bin := program(t)
	for args, want := range map[string]string{
		"--connection 198.18.1.1:9-198.18.3.2:80":     "This host has no open connection 198.18.1.1:9-198.18.3.2:80\n",
		"--connection 198.18.1.1:9":                   "Argument of --connection must be SOURCE:PORT-TARGET:PORT, IPv6 addresses in brackets: 198.18.1.1:9\n",
		"--connection " + ends + " 198.18.3.2":        "--connection and --pid take no host, which the connection has: leave 198.18.3.2 out\n",
		"--connection " + ends + " -A":                "-A doesn't go with --connection and --pid, whose probes are those of an open connection\n",
		"--connection " + ends:                        "The connection can't be traced: no packet of it was seen in 10s\n",
		"--pid 4194304":                               "There is no process 4194304\n",
		"--connection " + ends + " --unprivileged -n": "--connection needs raw sockets, which --unprivileged does without\n",
	} {
		out := run(t, p.Source, bin, strings.Fields(args)...)
		if out.code != 1 || out.stdout != "" || !strings.HasSuffix(out.stderr, want) {
			t.Errorf("%s: %v", args, out)
		}
	}
	// Nor is another user's, who has the program's capability.
	lab.NeedRoot(t)
	installed := lab.Install(t, bin, 0o755, unix.CAP_NET_RAW)
	pid := fmt.Sprint(os.Getpid())
	for args, want := range map[string]string{
		"--connection " + ends: "The connection " + ends + " is another user's\n",
		"--pid " + pid:         "The connections of process " + pid + " are another user's\n",
	} {
		out := finish(t, func(ctx context.Context) *lab.Cmd {
			return p.Source.Command(ctx, installed, strings.Fields(args)...).As(1234, 1234)
		})
		if out.code != 1 || out.stdout != "" || out.stderr != want {
			t.Errorf("%s: %v", args, out)
		}
	}
}
