package main

import (
	"net/netip"
	"time"
)

// The kinds of trials.
const (
	kindInternet = "internet" // a simulated path, others of the kind beside it
	kindAlone    = "alone"    // the same, with the machine to itself: for times in microseconds
	kindOne      = "one"      // the same, but for one probe to the first hop: what it costs to start a tool
	kindBusy     = "busy"     // the same, beside other traces and with all cores busy
	kindFiltered = "filtered" // a simulated path that is filtered behind hop 10
	kindLab      = "lab"      // real routers: the kernel's, in network namespaces
)

// trial is one run of one tool on one path: what the JSON file holds. Numbers that could not be measured are left out.
type trial struct {
	Kind string `json:"kind"`
	Tool string `json:"tool"`
	Path int    `json:"path"`
	IPv6 bool   `json:"ipv6,omitempty"`

	target netip.Addr

	WallSeconds  float64 `json:"wall_seconds"`
	CPUSeconds   float64 `json:"cpu_seconds"`
	FirstSeconds float64 `json:"first_probe_seconds,omitempty"` // from its start to its first packet on the wire
	PeakKiB      int     `json:"peak_memory_kib,omitempty"`
	ExitCode     int     `json:"exit_code"`

	Packets    int `json:"packets"`     // sent to the target
	TargetSYNs int `json:"target_syns"` // that got there

	Findable int      `json:"hops_findable"` // hops that answer at all within 3 s, the target too
	Found    int      `json:"hops_found"`
	Missed   []int    `json:"hops_missed,omitempty"` // TTLs
	Wrong    []string `json:"hops_wrong,omitempty"`

	RTTErrorModel []float64 `json:"rtt_error_model_us,omitempty"` // against the simulator's truth
	// against the kernel's stamps of the packets, as tcpdump shows them
	RTTErrorWire []float64 `json:"rtt_error_wire_us,omitempty"`

	Error string `json:"error,omitempty"` // the tool did not come to an end of its own
}

// mostTime is how long a tool may take for one path. The old tcptraceroute needs four and a half minutes where nothing
// answers.
const mostTime = 5 * time.Minute

// outcome is a tool's run as its parent sees it.
type outcome struct {
	start     time.Time
	wall, cpu time.Duration
	peak      int // KiB; 0: not measured
	stdout    string
	code      int
}

// evidence is what the network saw of a run.
type evidence struct {
	model      []seen // by the simulator's own clock; empty in a lab
	wire       []seen // by the kernel's
	targetSYNs int
	way        func(packet []byte) way // the truth about the packet's flow
}

// judged makes a trial of what a tool said and what the network saw.
func judged(t tool, o outcome, e evidence, printed []answer, r trial) trial {
	r.Tool, r.ExitCode = t.name, o.code
	r.WallSeconds, r.CPUSeconds, r.PeakKiB = o.wall.Seconds(), o.cpu.Seconds(), o.peak
	r.TargetSYNs = e.targetSYNs

	target := r.target
	wire := readTraffic(e.wire, target, 1)
	ways := make(map[flowName]way)
	var flows []way
	sent := make(map[int][]way)
	for i := range wire.probes {
		p := &wire.probes[i]
		name := flowName{p.head.IP.Protocol, p.head.TCP.SrcPort, p.head.TCP.DstPort}
		w, ok := ways[name]
		if !ok {
			w = e.way(p.data)
			ways[name] = w
			flows = append(flows, w)
		}
		sent[p.ttl] = append(sent[p.ttl], w)
	}
	v := judge(printed, flows, sent)
	r.Findable, r.Found, r.Missed, r.Wrong = v.findable, v.found, v.missed, v.wrong
	if len(flows) > 0 {
		wire = readTraffic(e.wire, target, flows[0].distance)
		r.RTTErrorWire = wire.rttErrors(printed)
		if len(e.model) > 0 {
			model := readTraffic(e.model, target, flows[0].distance)
			r.RTTErrorModel = model.rttErrors(printed)
		}
	}
	r.Packets = wire.packets
	if d := wire.first.Sub(o.start); !wire.first.IsZero() && d > 0 && d < time.Minute {
		r.FirstSeconds = d.Seconds()
	}
	return r
}

// flowName is what a network may tell flows of one host to one target apart by. nmap asks with ICMP echo where TCP
// got no answer.
type flowName struct {
	protocol uint8
	from, to uint16
}
