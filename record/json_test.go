package record_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/scene"
	"go.example/tcptraceroute/trace"
)

// compiled is trace-1.json as a validator. Its readers pass over what they don't know; strictly, nothing may be there that
// it doesn't name.
func compiled(t *testing.T, strictly bool) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile("trace-1.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if strictly {
		closeObjects(doc)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(record.ID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(record.ID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// closeObjects forbids, in every object that the schema describes, what it doesn't describe.
func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["properties"]; ok && v["type"] == "object" {
			v["additionalProperties"] = false
		}
		for _, x := range v {
			closeObjects(x)
		}
	case []any:
		for _, x := range v {
			closeObjects(x)
		}
	}
}

func validate(t *testing.T, s *jsonschema.Schema, text []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if err := s.Validate(v); err != nil {
		t.Errorf("%#v\n%s", err, text)
	}
}

func document(t *testing.T, s scene.Scene) []byte {
	t.Helper()
	var out bytes.Buffer
	s.Play(t, func(run *report.Run, t *trace.Trace) report.Writer { return report.NewJSON(&out, run, t) })
	return out.Bytes()
}

func lines(t *testing.T, s scene.Scene) []byte {
	t.Helper()
	var out bytes.Buffer
	s.Play(t, func(run *report.Run, t *trace.Trace) report.Writer { return report.NewJSONLines(&out, run, t) })
	return out.Bytes()
}

// both takes one trace in for two forms. Two traces need not be alike: of what happens at one instant, either is first.
type both struct{ first, second report.Writer }

func (b both) Add(r trace.Result) error { return errors.Join(b.first.Add(r), b.second.Add(r)) }
func (b both) Finish() error            { return errors.Join(b.first.Finish(), b.second.Finish()) }

// documentAndLines are the two forms of one trace.
func documentAndLines(t *testing.T, s scene.Scene) (doc, lines []byte) {
	t.Helper()
	var a, b bytes.Buffer
	s.Play(t, func(run *report.Run, t *trace.Trace) report.Writer {
		return both{report.NewJSON(&a, run, t), report.NewJSONLines(&b, run, trace.NewTrace(run.Path))}
	})
	return a.Bytes(), b.Bytes()
}

// everything is a scene with all that a trace can hold.
var everything = scene.Scene{
	Network: `
		seed 3
		router 198.51.100.1 delay=1ms dup=0.5
		router 198.51.100.5,198.51.100.6 per-packet delay=1ms mpls=16001/5/1,17/0/2
		router *
		router 198.51.100.9 delay=1ms if-role=2 if-index=7 if-addr=192.0.2.9 if-name=ge-0%2f0 if-mtu=9000
		router 198.51.100.13 dnat=203.0.113.77:8443 raw-quote quote=min non-compliant mpls=3/0/1
		router 198.51.100.17 set-tos=8 loss=0.2
		target 203.0.113.9 delay=2ms open`,
	Path:   trace.PathOptions{TOS: 32, DontFragment: true, Length: 120, Options: must(packet.Options{}.WithMSS(1460))},
	Host:   "www.example.com",
	Names:  map[string]string{"198.51.100.1": "gw.example", "203.0.113.9": "www.example.com"},
	Owners: map[string]record.Owner{"198.51.100.9": {ASN: 64500, Name: "Example <Net>", Country: "CH"}},
}

// odd makes of a result what no simulated network makes: an object of an unknown class, an interface that can't be read; a
// probe that wasn't sent.
func odd(r trace.Result) trace.Result {
	if r.N%5 == 4 {
		return trace.Result{Probe: r.Probe, N: r.N, Outcome: trace.Failed, Tried: r.Sent, Err: syscall.EPERM}
	}
	if r.Outcome != trace.Answered || r.FromTarget() {
		return r
	}
	objects, err := packet.AppendObject(nil, 9, 1, []byte("\x00data"))
	if err == nil {
		objects, err = packet.AppendObject(objects, packet.ClassInterface, 2, []byte{200})
	}
	probe, err2 := r.Probe.AppendBinary(nil)
	b, err3 := packet.AppendICMP(nil, &packet.ICMPError{Src: r.Reply.From(), Dst: r.Probe.Src.Addr(), TTL: 60,
		Type: packet.ICMPv4ParameterProblem, Pointer: 9, Quote: probe, Extensions: objects})
	reply := new(packet.Reply)
	if err := errors.Join(err, err2, err3, packet.Parse(b, reply)); err != nil {
		panic(err)
	}
	r.Reply = reply
	return r
}

func must(o packet.Options, err error) packet.Options {
	if err != nil {
		panic(err)
	}
	return o
}

var scenes = map[string]scene.Scene{
	"everything": everything,
	"closed, IPv6": {Path: trace.PathOptions{LabelSeed: 9}, Network: `
		router 2001:db8:1::2 delay=3ms if-role=0 if-addr=192.0.2.1 mpls=100/0/1
		router 2001:db8:2::2 rate=1s/1 node-addr=192.0.2.9 node-name=core1 from=::1
		target 2001:db8:3::2 closed`},
	"refused": {Network: "router 198.51.100.1\nrouter 198.51.100.5 reject=13\ntarget 203.0.113.9", Path: trace.PathOptions{Strict: true}},
	"too big": {Network: "router 2001:db8:1::2\nrouter 2001:db8:2::2 reject=4\ntarget 2001:db8:3::2"},
	"silence": {Network: "router 198.51.100.1\nrouter *\ntarget 203.0.113.9 filtered", Path: trace.PathOptions{MaxTTL: 6, Queries: 2}},
	"late":    {Network: "router 198.51.100.1 late=1/1005ms\nrouter *\ntarget 203.0.113.9 open", Path: trace.PathOptions{Wait: time.Second, MaxTTL: 5}},
	"ports": {Network: "router 198.51.100.1\ntarget 203.0.113.9 open",
		Path: trace.PathOptions{Ports: []uint16{41000, 41001, 41002}}},
	"loose":     {Network: "router 198.51.100.1 set-seq=99\nrouter 198.51.100.2\ntarget 203.0.113.9 open", Path: trace.PathOptions{Loose: true}},
	"stopped":   {Network: "router 198.51.100.1 delay=30ms\nrouter *\ntarget 203.0.113.9 filtered", Stop: 80 * time.Millisecond},
	"at once":   {Network: "router 198.51.100.1 delay=30ms\ntarget 203.0.113.9 open", Stop: time.Nanosecond},
	"odd":       {Network: "router 198.51.100.1\nrouter 198.51.100.2\ntarget 203.0.113.9 open", Change: odd},
	"echo":      {Network: "router 198.51.100.1\nrouter 198.51.100.2\ntarget 203.0.113.9", Path: trace.PathOptions{Protocol: packet.ProtoEcho}},
	"MSS":       {Network: "router 198.51.100.1 set-mss=1300\nrouter 198.51.100.2\ntarget 203.0.113.9 open", Path: everything.Path},
	"connect":   everything.Connections(),
	"explained": {Network: "router 198.51.100.1\nrouter *\ntarget 203.0.113.9 filtered", Path: trace.PathOptions{MaxTTL: 6}, Edit: explained},
	"layout": {Network: "router 198.51.100.1 dup=1\nrouter 198.51.100.2\ntarget 203.0.113.9 open", Change: unusual, Edit: measured,
		Names: map[string]string{"198.51.100.77": "other.example"}},
	"no reply": {Network: "router *\ntarget 203.0.113.9 filtered", Path: trace.PathOptions{FirstTTL: 3, MaxTTL: 4}},
}

// unusual makes quotes that no simulated router makes, and has second answers come from somebody else.
func unusual(r trace.Result) trace.Result {
	if r.Reply == nil || r.Reply.Kind != packet.KindTimeExceeded {
		return r
	}
	r.Reply = r.Reply.Clone()
	if r.Outcome == trace.Duplicate {
		r.Reply.IP.Src = netip.MustParseAddr("198.51.100.77")
	}
	q := &r.Reply.Quote
	q.IP.HeaderLength, q.IP.MoreFragments, q.IP.FragmentOffset = 24, true, 512
	q.TCP.DataOffset, q.TCP.Options = 32, packet.ParseOptions([]byte{packet.OptionEnd, 1, 2, 3})
	return r
}

// someGraph has all that a graph can have.
var someGraph = trace.Graph{
	Nodes: []trace.Node{
		{TTL: 1, Addr: netip.MustParseAddr("198.51.100.1"), Flows: 15, Next: 2, Sure: 0.993, Hidden: 0.264},
		{TTL: 2, Addr: netip.MustParseAddr("198.51.100.2"), Flows: 8, Next: 1, Sure: 0.992, Hidden: 0.438, PerPacket: true, Alternates: true,
			SharesBy: trace.FieldPort | trace.FieldLabel},
		{TTL: 2, MayBe: []int{1}},
		{TTL: 3, Addr: netip.MustParseAddr("198.51.100.3"), Untried: true, Flows: 1, Next: 1, Hidden: 0.99, Spared: true, Unanswered: 4},
		{TTL: 3, Addr: netip.MustParseAddr("198.51.100.4"), Refusal: &packet.Reply{Kind: packet.KindUnreachable, Type: 3,
			Code: 13, IP: packet.IP{Version: 4, Src: netip.MustParseAddr("198.51.100.4")}}},
		{TTL: 3, Addr: netip.MustParseAddr("203.0.113.9"), Refusal: &packet.Reply{Kind: packet.KindTCP,
			IP: packet.IP{Version: 4, Src: netip.MustParseAddr("203.0.113.9")}, TCP: packet.TCP{Flags: packet.RST}}},
		{TTL: 4, Addr: netip.MustParseAddr("203.0.113.9"), Target: true},
		{TTL: 4, Addr: netip.MustParseAddr("203.0.113.77"), Spared: true},
	},
	Links: []trace.Link{
		{From: 0, To: 1, Flows: 3}, {From: 0, To: 2, Flows: 2}, {From: 1, To: 3, Flows: 3}, {From: 2, To: 3, Flows: 2},
		{From: 1, To: 4, Flows: 1}, {From: 1, To: 5, Flows: 1}, {From: 3, To: 6, Flows: 1},
	},
	Ways: []trace.Way{
		{Nodes: []int{0, 1, 3, 6}, Ports: []uint16{40000, 41002, 41005}}, {Nodes: []int{0, -1, 3, 6}, Ports: []uint16{41001}, MTU: &trace.MTU{Size: 1400, First: 1500, Narrow: true, TTL: 1,
			From: netip.MustParseAddr("198.51.100.1")}, MSS: &trace.MSS{Sent: 1460, Arrived: 1360, After: 1, Before: 3}},
		{Nodes: []int{0, 1, 4}, Ports: []uint16{41003}}, {Nodes: []int{0, 1, 5}, Ports: []uint16{41004}},
	},
	OtherSources: []netip.Addr{netip.MustParseAddr("192.0.2.9")},
	Flows:        16, Probes: 70, TargetSYNs: 4, Asked: 0.95, Confidence: 0.985, Tested: true, Reached: true,
	Loss: &trace.Loss{Probes: 44, Complete: true, Looks: 1000, Pace: 1050 * time.Millisecond, Flows: []trace.FlowLoss{
		{Node: 3, Port: 40000, Sent: 3, Lost: 1, Moved: 1, RTTs: []time.Duration{1500 * time.Microsecond}},
		{Node: 3, Port: 41001, Sent: 2, RTTs: []time.Duration{time.Millisecond, 2 * time.Millisecond}},
	}},
}

// What is written of a graph is read back.
func TestGraph(t *testing.T) {
	for _, text := range [][]byte{document(t, scenes["layout"]), lines(t, scenes["layout"])} {
		saved, err := record.ReadJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if saved.Graph == nil || !reflect.DeepEqual(*saved.Graph, someGraph) {
			t.Errorf("read %+v", saved.Graph)
		}
	}
	for _, bad := range []string{`"from": 99`, `"to": -1`} {
		good := bad[:strings.Index(bad, ":")] + ": 0"
		if good == `"to": 0` {
			good = `"to": 1`
		}
		text := strings.Replace(string(document(t, scenes["layout"])), good, bad, 1)
		if !strings.Contains(text, bad) {
			t.Fatalf("no %s", good)
		}
		if _, err := record.ReadJSON(strings.NewReader(text)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// measured adds a path MTU, all paths, and counts.
func measured(r *report.Run) {
	r.OwnersAsked, r.Kind = true, "veth"
	r.MTU = &record.MTU{InSession: true, MTU: trace.MTU{Size: 1400, First: 1500, Narrow: true, TTL: 2, BlackHole: true,
		From: netip.MustParseAddr("198.51.100.2")}}
	r.Graph, r.Ending.Counts.OwnAddress = &someGraph, 3
	r.Ending.Counts.ShortQuotes = 4
}

// explained adds a diagnosis with all that one can hold.
func explained(r *report.Run) {
	o := r.Path
	o.Ports, o.FirstTTL = nil, 2
	echo := o
	echo.Protocol = packet.ProtoEcho
	r.Explanation = &detect.Diagnosis{
		Causes: []detect.Considered{
			{Code: detect.FilteredPort, What: "port 443 is dropped"},
			{Code: detect.PathEnds, What: "nothing gets farther", Excluded: []string{"SYNs to port 80: passed"}},
		},
		Questions: []detect.Asked{
			{Question: detect.Question{Ask: detect.AskPort, Options: o}, What: "SYNs to port 80", Sent: 4, Answered: 3, Lost: 1, Came: detect.CameTarget, At: 3},
			{Question: detect.Question{Ask: detect.AskEcho, Options: echo}, What: "ICMP echo requests", Sent: 2, Lost: 2, Came: detect.CameNothing},
		},
		Budget:  detect.Budget{Probes: 40, Sent: 6, SYNs: 3, Most: 8},
		Unknown: []string{"What routers got isn't known"},
		Host: &detect.Host{
			Probes: &detect.Leaving{Src: o.Source, Dst: o.Target, Interfaces: []string{"eth0"}},
			Controls: []detect.Control{
				{Outcome: detect.Silent, Source: o.Source, SYNs: 3, Waited: 2900 * time.Millisecond, Followed: true, Accepted: 2,
					Flawed: 1, Flaw: detect.Flaw{What: "with a wrong checksum"},
					Left: &detect.Leaving{Src: o.Source, Dst: o.Target, Interfaces: []string{"bond0", "eth1"}, Mark: 7, TTL: 64, Loopback: true}},
				{Outcome: detect.Rejected, Source: o.Source, SYNs: 1, Waited: time.Millisecond, From: o.Target.Addr(), Said: "port unreachable"},
			},
		},
	}
}

// If no path is known as a whole, as where a router sends each packet its own way, the list of them is there and empty.
func TestNoPaths(t *testing.T) {
	for _, asked := range []bool{true, false} {
		s := scenes["layout"]
		s.Edit = func(r *report.Run) {
			if asked {
				r.Graph = &trace.Graph{Asked: 0.99}
			}
		}
		if out := string(document(t, s)); strings.Contains(out, `"paths": []`) != asked {
			t.Errorf("asked %v:\n%s", asked, out)
		}
	}
}

// Everything that is written is as the published schema says, and the schema names all of it.
func TestSchema(t *testing.T) {
	strict, public := compiled(t, true), compiled(t, false)
	for name, s := range scenes {
		t.Run(name, func(t *testing.T) {
			doc := document(t, s)
			validate(t, strict, doc)
			validate(t, public, doc)
			for line := range bytes.Lines(lines(t, s)) {
				validate(t, strict, line)
			}
		})
	}
	for line := range bytes.Lines(manyLines(t)) {
		validate(t, strict, line)
		validate(t, public, line)
	}
}

// Without privileges nothing is told that nobody knows: the numbers of packets that the kernel made, and of those that it didn't
// show.
func TestConnections(t *testing.T) {
	out := string(document(t, everything.Connections()))
	for _, name := range []string{"sequence", "acknowledgement", "window", "ip_id", "quote", "tcp_checksum", "length_bytes"} {
		if strings.Contains(out, `"`+name+`":`) {
			t.Errorf("there is a %s in\n%s", name, out)
		}
	}
	for _, want := range []string{`"mode": "connect"`, `"evidence": "kernel"`, `"state": "open"`, `"mpls": [`, `"ttl": 255`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s", want)
		}
	}
}

// A schema that takes anything would prove nothing.
func TestSchemaRefuses(t *testing.T) {
	s := compiled(t, false)
	for _, damage := range []struct{ old, new string }{
		{`"schema": "urn:tcptraceroute:trace:1"`, `"schema": "urn:tcptraceroute:trace:2"`},
		{`"fate": "answered"`, `"fate": "fine"`},
		{`"ttl": 1,`, `"ttl": 0,`},
		{`"rtt_ms":`, `"rtt":`},
		{`"reached": true`, `"reached": "yes"`},
		{`"totals":`, `"sums":`},
		{`"sequence":`, `"sequence": -1, "was":`},
		{`"sent": "`, `"sent": " `},
	} {
		doc := string(document(t, everything))
		bad := strings.ReplaceAll(doc, damage.old, damage.new)
		if bad == doc {
			t.Errorf("%s: not there", damage.old)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(bad))
		if err != nil {
			t.Fatal(err)
		}
		if s.Validate(v) == nil {
			t.Errorf("%s passes", damage.new)
		}
	}
}

// Every property that the schema names is written in one scene or another: none is promised and forgotten.
func TestSchemaIsUsed(t *testing.T) {
	var all any
	text, err := os.ReadFile("trace-1.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	named := make(map[string]bool)
	properties(all, named)
	for _, s := range scenes {
		edit := s.Edit
		s.Edit = func(r *report.Run) {
			r.Mark = 7
			if edit != nil {
				edit(r)
			}
		}
		for _, text := range [][]byte{document(t, s), lines(t, s)} {
			for d := json.NewDecoder(bytes.NewReader(text)); d.More(); {
				var v any
				if err := d.Decode(&v); err != nil {
					t.Fatal(err)
				}
				written(v, named)
			}
		}
	}
	for line := range bytes.Lines(manyLines(t)) {
		var v any
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		written(v, named)
	}
	var rounds bytes.Buffer
	if err := aRounds().WriteJSON(&rounds); err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(rounds.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	written(v, named)
	// What no simulated network brings about.
	for _, name := range []string{"advice"} {
		delete(named, name)
	}
	if left := slices.Sorted(maps.Keys(named)); len(left) > 0 {
		t.Errorf("never written: %v", left)
	}
}

// Every property of the schema says what it is.
func TestSchemaSays(t *testing.T) {
	text, err := os.ReadFile("trace-1.json")
	if err != nil {
		t.Fatal(err)
	}
	var all any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if n := described(t, "", all); n < 300 {
		t.Errorf("%d properties", n)
	}
}

// described checks that all properties below v have a description, and returns how many there are.
func described(t *testing.T, path string, v any) (n int) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		if all, ok := v["properties"].(map[string]any); ok {
			for name, p := range all {
				n++
				if p, ok := p.(map[string]any); ok && p["description"] == nil {
					t.Errorf("%s/%s has no description", path, name)
				}
			}
		}
		for k, x := range v {
			n += described(t, path+"/"+k, x)
		}
	case []any:
		for _, x := range v {
			n += described(t, path, x)
		}
	}
	return n
}

// properties collects the names of the schema's properties.
func properties(v any, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if p, ok := x.(map[string]any); ok && k == "properties" {
				for name := range p {
					into[name] = true
				}
			}
			properties(x, into)
		}
	case []any:
		for _, x := range v {
			properties(x, into)
		}
	}
}

func written(v any, named map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			delete(named, k)
			written(x, named)
		}
	case []any:
		for _, x := range v {
			written(x, named)
		}
	}
}

// The zone of an address may be any text to netip; only such that is safe to print is taken.
func TestZone(t *testing.T) {
	good := string(document(t, scenes["layout"]))
	const address = `"address": "198.51.100.1"`
	if !strings.Contains(good, address) {
		t.Fatalf("no %s", address)
	}
	for zone, taken := range map[string]bool{"eth0": true, `\u001b[31m`: false, `\u202e`: false} {
		text := strings.ReplaceAll(good, address, `"address": "fe80::1%`+zone+`"`)
		if _, err := record.ReadJSON(strings.NewReader(text)); (err == nil) != taken {
			t.Errorf("zone %s: %v", zone, err)
		}
	}
}
