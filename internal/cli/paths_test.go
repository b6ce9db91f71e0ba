package cli

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.example/tcptraceroute/internal/options"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/sim"
	"go.example/tcptraceroute/trace"
)

const twoWays = "router 10.0.0.1\nfork\nway\nrouter 10.0.0.2\nway\nrouter 10.0.0.3\nend\nrouter 10.0.0.4\ntarget 203.0.113.9\n"

// --paths prints the trace, and below it all paths.
func TestPaths(t *testing.T) {
	v := runVirtual(t, twoWays, 1, "-n", "--paths")
	if v.code != 0 || !strings.Contains(v.stdout, "2 paths to 203.0.113.9") || !strings.Contains(v.stdout, " 1  10.0.0.1            -> 2a 2b\n") {
		t.Errorf("code %d\n%s%s", v.code, v.stderr, v.stdout)
	}
	saved, err := record.ReadJSON(strings.NewReader(runVirtual(t, twoWays, 1, "-n", "--paths", "--json").stdout))
	if err != nil {
		t.Fatal(err)
	}
	if g := saved.Graph; g == nil || len(g.Ways) != 2 || len(g.Nodes) != 5 || len(g.Links) != 5 || !g.Complete {
		t.Errorf("JSON: %+v", g)
	}
	few := runVirtual(t, twoWays, 1, "-n", "--paths", "--max-flows", "2")
	ports := map[uint16]bool{}
	for _, s := range few.sent {
		if s.Probe.TTL == 3 {
			ports[s.Probe.Src.Port()] = true
		}
	}
	if few.code != 0 || !strings.Contains(few.stdout, "Not all of this could be tested") || len(ports) > 3 { // one is the witness's
		t.Errorf("code %d, ports %v\n%s", few.code, ports, few.stdout)
	}
}

// Where an answer comes back by a shorter way than the SYN took, the trace alone may take it for that of a proxy. If all
// paths are known, the target is known to stand at that distance, and nothing is said.
func TestPathsShorterWay(t *testing.T) {
	const network = "router 10.0.0.1\nrouter 10.0.0.2\nfork\nway\nrouter 10.0.0.3\nway\nrouter 10.0.0.4\nrouter 10.0.0.5\n" +
		"router 10.0.0.6\nhome skip=2 share=0.4\nend\nend\ntarget 203.0.113.9\n"
	alone := 0
	for seed := range uint64(40) {
		proxy := func(args ...string) bool {
			v := runVirtual(t, network, seed, append(args, "-n", "--json")...)
			return strings.Contains(v.stdout, `"tcp-proxy"`)
		}
		if !proxy() {
			continue
		}
		alone++
		if proxy("--paths") {
			t.Errorf("seed %d: a proxy, though the graph explains the answer", seed)
		}
	}
	if alone == 0 {
		t.Error("the trace alone never takes the answer for a proxy's")
	}
}

// What doesn't go together is refused.
func TestPathsRefused(t *testing.T) {
	for _, args := range [][]string{
		{"--confidence", "95"}, {"--max-flows", "9"}, {"--max-target-syns", "9"}, {"--paths", "--confidence", "98"},
		{"--paths", "--track-port"}, {"--paths", "--report", "-b"}, {"--paths", "--report", "-q", "3"}, {"--paths", "--live", "--mtu"}, {"--paths", "--csv"},
		{"--paths", "--in-session"}, {"--paths", "--max-flows", "0"}, {"--port-for", "0"}, {"--port-for", "x"}, {"--port-for", "-1"},
		{"--port-for", "1", "--json"}, {"--port-for", "1", "--live"}, {"--port-for", "1", "--explain"},
		{"--port-for", "1", "--diff", "saved.json"}, {"--port-for", "1", "--mtu"},
	} {
		var c options.Config
		_, err := options.Parse(options.Options(), append(args, "203.0.113.9"), &c)
		if err == nil && c.CheckTogether() == nil {
			t.Errorf("%v: taken", args)
		}
	}
	for _, args := range [][]string{{"--paths", "-q", "0"}, {"--port-for", "1", "-q", "0"}} {
		var c options.Config
		if _, err := options.Parse(options.Options(), append(args, "203.0.113.9"), &c); err != nil {
			t.Fatal(err)
		}
		if _, err := trace.NewPath(c.Request(nil).Path); err == nil || !strings.HasPrefix(err.Error(), "Number of queries") {
			t.Errorf("%v: %v", args, err)
		}
	}
	var c options.Config
	if _, err := options.Parse(options.Options(), []string{"--paths", "--confidence", "95", "203.0.113.9"}, &c); err != nil || c.CheckTogether() != nil {
		t.Error("refused for no reason")
	}
	for _, with := range []string{"--live", "--report"} {
		var c options.Config
		if _, err := options.Parse(options.Options(), []string{"--paths", with, "203.0.113.5"}, &c); err != nil || c.CheckTogether() != nil {
			t.Errorf("%s is refused", with)
		}
	}
	if c.NeedsRaw() != "" {
		t.Errorf("needs raw sockets: %q", c.NeedsRaw())
	}
}

// A saved search shows what the live one showed.
func TestPathsReplayed(t *testing.T) {
	for name, network := range map[string]string{"two ways": twoWays, "silent": "router *\ntarget 203.0.113.9\n",
		"filtered": "router 10.0.0.1\ntarget 203.0.113.9 filtered\n", "nobody": "router *\ntarget 203.0.113.9 filtered\n",
		"silent before": "router *\n" + twoWays} {
		for _, args := range [][]string{{}, {"--confidence", "95"}} {
			args = append(args, "-n", "--paths")
			live := runVirtual(t, network, 1, args...)
			saved := runVirtual(t, network, 1, append(args, "--json")...).stdout
			shown, _, code := replayed(t, saved)
			_, want, _ := strings.Cut(live.stdout, " paths to ") // the ports of probes before are drawn at random
			_, got, _ := strings.Cut(shown, " paths to ")
			if got != want || code != live.code {
				t.Errorf("%s: exit code %d, live %d\n%s\nlive:\n%s", name, code, live.code, shown, live.stdout)
			}
			if again, _, _ := replayed(t, saved, "--json"); again != saved {
				t.Errorf("%s: as JSON\n%s\nlive:\n%s", name, again, saved)
			}
			said := "No more paths"
			switch name {
			case "silent", "nobody":
				said = "Not all of this"
			case "filtered", "silent before":
				said = "Nothing else is missing"
			}
			if !strings.Contains(shown, said) {
				t.Errorf("%s: not %q:\n%s", name, said, shown)
			}
		}
	}
}

// A search that is interrupted shows what it has found by then, and doesn't say that this is all.
func TestPathsInterrupted(t *testing.T) {
	network := strings.Replace(twoWays, "10.0.0.4", "10.0.0.4 rate=1s/1", 1)
	m := &simMedium{stop: 5 * time.Second}
	v := runVirtualOn(t, network, 1, m, func(*program) {}, "--paths")
	if v.code == 0 || v.took != m.stop || !strings.Contains(v.stdout, "-> 2a 2b\n") ||
		!strings.Contains(v.stdout, "Not all of this") {
		t.Errorf("exit code %d after %v\n%s%s", v.code, v.took, v.stdout, v.stderr)
	}
	m = &simMedium{stop: m.stop}
	v = runVirtualOn(t, network, 1, m, func(*program) {}, "--paths", "--json")
	saved, err := record.ReadJSON(strings.NewReader(v.stdout))
	if err != nil {
		t.Fatal(err)
	}
	if saved.Graph == nil || saved.Graph.Complete || len(saved.Graph.Nodes) < 4 {
		t.Errorf("JSON: %+v", saved.Graph)
	}
}

// A way that goes on where others have arrived is shown, and not as one to the target.
func TestPathsGoOn(t *testing.T) {
	const network = "router 10.0.0.1\nfork\nway\nrouter 10.0.0.2\nway\nrouter 10.0.0.3\nrouter 10.0.0.5\nrouter 10.0.0.6\nend\n" +
		"router 10.0.0.4\ntarget 203.0.113.9\n"
	for seed := range uint64(4) {
		v := runVirtual(t, network, seed, "--paths", "-m", "4")
		if !strings.Contains(v.stdout, "1 path to 203.0.113.9, and 1 not seen to get there, by ") {
			t.Errorf("seed %d:\n%s%s", seed, v.stdout, v.stderr)
		}
	}
}

// --port-for prints a source port and nothing else, or says that there is no such path.
func TestPortFor(t *testing.T) {
	for _, tt := range []struct{ path, router, stderr string }{
		{"1", "10.0.0.2", ""}, {"2", "10.0.0.3", ""}, {"10.0.0.3", "10.0.0.3", ""},
		{"3", "", "There is no path 3: 2 paths were found\n"}, {"10.0.0.9", "", "No path goes by 10.0.0.9: 2 paths were found\n"},
	} {
		var g *trace.Graph
		keep := func(p *program) { p.keep = func(made *record.Trace) { g = made.Graph } }
		v := runVirtualAs(t, twoWays, 1, keep, "-n", "--port-for", tt.path)
		router := ""
		for _, w := range g.Ways {
			for _, port := range w.Ports {
				if v.stdout == fmt.Sprintln(port) {
					router = g.Nodes[w.Nodes[1]].Addr.String()
				}
			}
		}
		if router != tt.router || (v.code == 0) != (router != "") || !strings.HasSuffix(v.stderr, tt.stderr) ||
			router == "" && v.stdout != "" {
			t.Errorf("%s: printed %q, by %q, want %q; code %d\n%s", tt.path, v.stdout, router, tt.router, v.code, v.stderr)
		}
	}
}

// Where each packet goes its own way, no source port keeps to a path, and that is said.
func TestPortForSprayed(t *testing.T) {
	v := runVirtual(t, strings.Replace(twoWays, "fork", "fork by=packet", 1), 1, "-n", "--port-for", "1")
	const want = "No source port keeps to a path: beyond 10.0.0.1, hop 1, packets of one flow meet several addresses\n"
	if v.stdout != "" || v.code == 0 || !strings.HasSuffix(v.stderr, want) {
		t.Errorf("code %d\n%s%s", v.code, v.stdout, v.stderr)
	}
}

// With -p the paths' text says which of them that source port takes.
func TestPathsOfPort(t *testing.T) {
	v := runVirtual(t, twoWays, 1, "-n", "--paths", "-p", "33333")
	for _, w := range []string{"1", "2"} {
		row := regexp.MustCompile(`(?m)^ +` + w + ` .* 33333 `).MatchString(v.stdout) // it is the first of its path's ports
		if said := strings.Contains(v.stdout, "\nSource port 33333 takes path "+w+".\n"); said != row {
			t.Errorf("path %s:\n%s", w, v.stdout)
		}
	}
	if !strings.Contains(v.stdout, "Source port 33333") {
		t.Errorf("got\n%s", v.stdout)
	}
}

// Where the first router shares out the flows, it may be one of this machine's own, which sends connections their ways
// by a hash of the kernel's, and not by their ports. That is said, and nothing of the kind where it is farther away.
func TestPortsMayNotCount(t *testing.T) {
	for network, said := range map[string]bool{twoWays: true, "router 10.0.0.9\n" + twoWays: false} {
		for _, args := range [][]string{{"--port-for", "1"}, {"--paths", "-p", "33333"}} {
			v := runVirtual(t, network, 1, append(args, "-n")...)
			text := strings.Join(strings.Fields(v.stdout+v.stderr), " ")
			if v.code != 0 || strings.Contains(text, "whatever its ports") != said {
				t.Errorf("%v, %q: code %d\n%s%s", args, network, v.code, v.stdout, v.stderr)
			}
		}
	}
}

// As scamper's JSON all paths are links from one router that all packets pass to the next; if there is no next one, a link
// to each successor.
func TestPathsScamper(t *testing.T) {
	const unequal = "router 10.0.0.1\nfork\nway\nrouter 10.0.0.2\nway\nrouter 10.0.0.3\nrouter 10.0.0.5\nend\ntarget 203.0.113.9\n"
	for network, want := range map[string]string{
		twoWays: "10.0.0.1 1 [10.0.0.2 10.0.0.3] [10.0.0.4]; 10.0.0.4 1 [203.0.113.9]",
		unequal: "10.0.0.1 2 [10.0.0.2 10.0.0.3]; 10.0.0.2 1 [203.0.113.9]; 10.0.0.3 1 [10.0.0.5]; 10.0.0.5 1 [203.0.113.9]",
	} {
		v := runVirtual(t, network, 1, "-n", "--paths", "--format", "scamper")
		var found struct {
			Nodes []struct {
				Addr  string
				LinkC int
				Links [][]struct {
					Addr   string
					Probes []struct {
						TTL, FlowID int
						Replies     []struct{ RTT float64 }
					}
				}
			}
		}
		lines := strings.Split(v.stdout, "\n")
		if len(lines) != 4 {
			t.Fatalf("got\n%s", v.stdout)
		}
		if err := json.Unmarshal([]byte(lines[1]), &found); err != nil {
			t.Fatal(err)
		}
		var nodes []string
		for _, n := range found.Nodes {
			text := fmt.Sprint(n.Addr, " ", n.LinkC)
			for _, set := range n.Links {
				var all []string
				for _, a := range set {
					all = append(all, a.Addr)
					if len(a.Probes) == 0 || len(a.Probes[0].Replies) != 1 || a.Probes[0].FlowID == 0 {
						t.Errorf("%s: probes %v", a.Addr, a.Probes)
					}
				}
				text += fmt.Sprint(" ", all)
			}
			nodes = append(nodes, text)
		}
		if got := strings.Join(nodes, "; "); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// As dublin-traceroute's file there is each flow, by its port, with all hops of its path; where paths differ, by its own
// probes.
func TestPathsDublin(t *testing.T) {
	v := runVirtual(t, twoWays, 1, "-n", "--paths", "--format", "dublin")
	var found struct {
		Flows map[string][]struct {
			IsLast   bool `json:"is_last"`
			Received struct{ IP struct{ Src string } }
			Sent     struct {
				IP  struct{ TTL int }
				UDP struct{ Sport int }
			}
		}
	}
	if err := json.Unmarshal([]byte(v.stdout), &found); err != nil {
		t.Fatal(err)
	}
	ways := map[string]int{}
	for port, hops := range found.Flows {
		way := ""
		for i, h := range hops {
			way += h.Received.IP.Src + " "
			if h.Sent.IP.TTL != i+1 || h.IsLast != (i == 3) || i == 1 && fmt.Sprint(h.Sent.UDP.Sport) != port {
				t.Errorf("flow %s, hop %d: %+v", port, i+1, h)
			}
		}
		ways[way]++
	}
	const one, other = "10.0.0.1 10.0.0.2 10.0.0.4 203.0.113.9 ", "10.0.0.1 10.0.0.3 10.0.0.4 203.0.113.9 "
	if len(ways) != 2 || ways[one] < 8 || ways[other] < 8 {
		t.Errorf("flows by way: %v", ways)
	}
}

// Rounds by all paths: a SYN by each path and round, and the member that drops packets is named; as text, and saved.
func TestPathsRounds(t *testing.T) {
	lossy := strings.Replace(twoWays, "10.0.0.3", "10.0.0.3 drop=443", 1)
	v := runVirtual(t, twoWays, 1, "-n", "--paths", "--report", "-c", "20")
	if v.code != 0 || !strings.Contains(v.stderr, "\nWatching 2 paths: in each round 6 probes, 2 of them SYNs to the target\n") ||
		!regexp.MustCompile(`(?m)^   1 .*  0/(19|2\d)  `).MatchString(v.stdout) || strings.Contains(v.stdout, "(loses packets)") ||
		v.took < 19*time.Second || v.took > 25*time.Second {
		t.Errorf("code %d after %v\n%s%s", v.code, v.took, v.stderr, v.stdout)
	}
	v = runVirtual(t, lossy, 1, "-n", "--paths", "--report", "-c", "40")
	if !strings.Contains(v.stdout, "10.0.0.3") || !strings.Contains(v.stdout, "[broken-branch, likely]") {
		t.Errorf("code %d after %v\n%s%s", v.code, v.took, v.stderr, v.stdout)
	}
	args := []string{"-n", "--paths", "--report", "-c", "10", "--interval", "0.5"}
	live := runVirtual(t, twoWays, 1, args...)
	saved := runVirtual(t, twoWays, 1, append(args, "--json")...).stdout
	shown, _, code := replayed(t, saved)
	_, want, _ := strings.Cut(live.stdout, " paths to ")
	_, got, _ := strings.Cut(shown, " paths to ")
	if got != want || code != live.code {
		t.Errorf("exit code %d, live %d\n%s\nlive:\n%s", code, live.code, shown, live.stdout)
	}
}

// Flows that are distributed anew are found again, and what is shown then is how they go since.
func TestPathsRoundsMoved(t *testing.T) {
	router := func(a string, next ...int) sim.Node {
		n := sim.Node{By: sim.ByPorts, Router: sim.Router{Addrs: []netip.Addr{netip.MustParseAddr(a)}}}
		for _, to := range next {
			n.Next = append(n.Next, sim.Next{Node: to})
		}
		return n
	}
	path := sim.Path{Nodes: []sim.Node{router("10.0.0.1", 1, 2), router("10.0.0.2", 3), router("10.0.0.3", 3), router("10.0.0.4", 0)}}
	path.Nodes[0].Remap = 30 * time.Second
	path.Target.Addr = netip.MustParseAddr("203.0.113.9")
	var v virtual
	synctest.Test(t, func(t *testing.T) {
		model, err := sim.New(sim.Scenario{Seed: 1, Paths: []sim.Path{path}})
		if err != nil {
			t.Fatal(err)
		}
		m := &simMedium{Conn: sim.NewConn(model), target: path.Target.Addr, port: 40000}
		defer m.Close()
		v = m.run(t, 1, func(*program) {}, []string{"-n", "--paths", "--report", "-c", "60"})
	})
	if v.code != 0 || strings.Count(v.stderr, "\nRemapped: a flow takes another path than before; searching again\n") != 1 ||
		!strings.Contains(v.stdout, "2 paths to") || v.took < 55*time.Second || v.took > 65*time.Second ||
		strings.Contains(v.stdout, "Remapped") {
		t.Errorf("code %d after %v\n%s%s", v.code, v.took, v.stderr, v.stdout)
	}
}

// Where no flow keeps to a path, there are no rounds, and the text says why.
func TestPathsRoundsSprayed(t *testing.T) {
	v := runVirtual(t, strings.Replace(twoWays, "fork", "fork by=packet", 1), 1, "-n", "--paths", "--report", "-c", "60")
	if v.code != 0 || !strings.Contains(v.stdout, "each packet may go its own way") || strings.Contains(v.stderr, "Watching") {
		t.Errorf("code %d after %v\n%s%s", v.code, v.took, v.stderr, v.stdout)
	}
}
