package expect

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/trace"
)

// env is what the library lets a condition see.
type env struct {
	Reached  bool   `expr:"reached"`
	State    string `expr:"state"`
	Open     string `expr:"open"`
	Closed   string `expr:"closed"`
	Other    string `expr:"other"`
	Refused  string `expr:"refused"`
	NoAnswer string `expr:"no_answer"`
	NotSent  string `expr:"not_sent"`

	Hops     func() (int, error)                 `expr:"hops"`
	RTT      func() (time.Duration, error)       `expr:"rtt"`
	RTTMin   func() (time.Duration, error)       `expr:"rtt_min"`
	RTTMax   func() (time.Duration, error)       `expr:"rtt_max"`
	Loss     func() (float64, error)             `expr:"loss"`
	MTU      func() (int, error)                 `expr:"mtu"`
	Via      func(string) (bool, error)          `expr:"via"`
	Finding  func(string) (bool, error)          `expr:"finding"`
	Duration func(string) (time.Duration, error) `expr:"duration"`
}

// unknownError says what isn't known of a trace.
type unknownError struct{ what string }

func (e *unknownError) Error() string { return e.what }

// facts are what conditions ask for, of one trace.
type facts struct {
	*record.Trace
	out    record.Outcome
	times  []time.Duration // of the target's answers, in order
	lost   int             // probes to the target
	router []netip.Addr    // that answered
}

func newFacts(t *record.Trace) *facts {
	fold := t.Fold()
	f := &facts{Trace: t, out: fold.Outcome()}
	for e := range fold.Entries() {
		for _, r := range e.Probes {
			switch {
			case r.Outcome == trace.Lost && f.out.TTL == e.TTL && !e.Beyond:
				f.lost++
			case r.Outcome != trace.Answered:
			case r.FromTarget():
				f.times = append(f.times, r.RTT())
			case !slices.Contains(f.router, r.Reply.From()) && r.Reply.Kind != packet.KindOther:
				f.router = append(f.router, r.Reply.From())
			}
		}
	}
	if t.Graph != nil {
		for _, n := range t.Graph.Nodes {
			if n.Addr.IsValid() && !n.Target && n.Addr != t.Path.Target.Addr() && !slices.Contains(f.router, n.Addr) {
				f.router = append(f.router, n.Addr)
			}
		}
	}
	slices.Sort(f.times)
	return f
}

func (f *facts) env() env {
	return env{
		Reached: f.out.Reached, State: string(f.out.State), Open: string(record.Open), Closed: string(record.Closed),
		Other: string(record.OtherTCP), Refused: string(record.Refused), NoAnswer: string(record.NoAnswer),
		NotSent: string(record.Unsent),
		Hops:    f.hops,
		RTT:     func() (time.Duration, error) { return f.time(len(f.times) / 2) },
		RTTMin:  func() (time.Duration, error) { return f.time(0) },
		RTTMax:  func() (time.Duration, error) { return f.time(len(f.times) - 1) },
		Loss:    f.loss, MTU: f.mtu, Via: f.via, Finding: f.finding, Duration: time.ParseDuration,
	}
}

func (f *facts) hops() (int, error) {
	if f.out.TTL == 0 || f.out.State == record.Refused {
		return 0, &unknownError{"hops isn't known: the target gave no answer"}
	}
	return f.out.TTL, nil
}

// time is one of the times, in order.
func (f *facts) time(i int) (time.Duration, error) {
	if len(f.times) == 0 {
		return 0, &unknownError{"no time is known: the target gave no answer"}
	}
	return f.times[i], nil
}

// loss is all if the target gave no answer.
func (f *facts) loss() (float64, error) {
	if len(f.times) == 0 {
		return 100, nil
	}
	return 100 * float64(f.lost) / float64(f.lost+len(f.times)), nil
}

func (f *facts) mtu() (int, error) {
	if f.MTU == nil || f.MTU.Size == 0 {
		return 0, &unknownError{"mtu isn't known: --mtu measures it"}
	}
	return f.MTU.Size, nil
}

func (f *facts) finding(code string) (bool, error) {
	if f.Findings == nil {
		return false, &unknownError{"no findings are known: the trace was saved without"}
	}
	return slices.ContainsFunc(f.Findings, func(x detect.Finding) bool { return string(x.Code) == code }), nil
}

// via reports whether a router has an address, or is in a network.
func (f *facts) via(where string) (bool, error) {
	if number, ok := strings.CutPrefix(where, "AS"); ok {
		return f.viaAS(number)
	}
	in, err := prefix(where)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(f.router, func(a netip.Addr) bool { return in.Contains(a.WithZone("")) }), nil
}

func (f *facts) viaAS(text string) (bool, error) {
	number, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return false, err
	}
	unknown := netip.Addr{}
	for _, a := range f.router {
		o, ok := f.Owners[a]
		switch {
		case ok && o.ASN == uint32(number):
			return true, nil
		case (!ok || o.ASN == 0) && a.IsGlobalUnicast() && !a.IsPrivate():
			unknown = a
		}
	}
	if unknown.IsValid() {
		return false, &unknownError{fmt.Sprintf("the AS of %v isn't known", unknown)}
	}
	return false, nil
}

// prefix is the network of an address or a prefix.
func prefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a.Unmap().WithZone(""), a.Unmap().BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// checkArgument says what is wrong with what a function is asked for; "": nothing.
func checkArgument(function, argument string) string {
	var err error
	switch function {
	case "via":
		number, ok := strings.CutPrefix(argument, "AS")
		if ok {
			_, err = strconv.ParseUint(number, 10, 32)
		} else {
			_, err = prefix(argument)
		}
		if err != nil {
			return argument + " is none of what via takes: an address, a prefix such as 192.0.2.0/24, or AS and a number"
		}
	case "finding":
		if !slices.Contains(detect.Codes(), detect.Code(argument)) {
			return argument + " is no finding: docs/findings.md and the man page list their codes"
		}
	case "duration":
		if _, err = time.ParseDuration(argument); err != nil {
			return argument + " is no time, such as 50ms or 1.5s"
		}
	}
	return ""
}

// values says what a trace has of what a part asks for.
func (f *facts) values(words []string) string {
	var all []string
	for _, w := range words {
		all = append(all, f.value(w))
	}
	return strings.Join(all, ", ")
}

func (f *facts) value(word string) string {
	e := f.env()
	text := func(v any, err error) string {
		if err != nil {
			return err.Error()
		}
		return strings.ReplaceAll(fmt.Sprintf("%s is %v", word, v), "µ", "u")
	}
	times := map[string]func() (time.Duration, error){"rtt": e.RTT, "rtt_min": e.RTTMin, "rtt_max": e.RTTMax}
	switch word {
	case "reached":
		return text(e.Reached, nil)
	case "state":
		return text(e.State, nil)
	case "hops":
		n, err := e.Hops()
		return text(n, err)
	case "mtu":
		n, err := e.MTU()
		return text(n, err)
	case "loss":
		n, err := e.Loss()
		return text(fmt.Sprintf("%.1f%%", n), err)
	}
	if of := times[word]; of != nil {
		d, err := of()
		return text(d, err)
	}
	name, argument, _ := strings.Cut(strings.TrimSuffix(word, ")"), "(")
	of := e.Via
	if name == "finding" {
		of = e.Finding
	}
	so, err := of(argument)
	return text(so, err)
}
