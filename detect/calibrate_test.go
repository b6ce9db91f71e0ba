package detect_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.example/tcptraceroute/detect"
)

var (
	worlds     = flag.Int("worlds", 400, "how many random worlds TestCalibration explains")
	firstWorld = flag.Uint64("first-world", 1, "the seed of the first of them")
)

// world is a random network with one known cause of trouble, or none.
type world struct {
	seed  uint64
	cause string   // as in worldCauses
	text  string   // in the form of a scenario
	with  []string // how the trace is made
	at    int      // the hop of the router that is the cause; the target's where it is the target
	last  int      // the target's hop
	clean bool     // nothing but the cause is odd
}

// worldCauses are what may be wrong, each with the words that make it so. Which findings are true of it says worldTruth.
var worldCauses = []string{
	"none", "none", "closed", "port", "port-syn", "syn", "tcp", "all", "size", "mark", "options", "member", "port-way",
	"reset", "proxy", "reject-port", "reject-words", "reject-all", "no-route", "target-filter", "target-dead", "target-reject",
	"down", "forwarded", "forwarded-closed", "mss", "mss-raised", "stripped", "two-ways", "syn-limit",
}

// worldTruth says of each cause which findings are true, and of those that are only possible which name it.
var worldTruth = map[string]struct{ is, names []detect.Code }{
	"none":              {is: codes(detect.PortOpen)},
	"closed":            {is: codes(detect.PortClosed)},
	"port":              {is: codes(detect.FilteredPort), names: codes(detect.PathEnds)},
	"port-syn":          {is: codes(detect.FilteredPort), names: codes(detect.PathEnds, detect.StuckService)},
	"syn":               {is: codes(detect.FilteredSYN), names: codes(detect.PathEnds, detect.FilteredPort)},
	"tcp":               {is: codes(detect.FilteredTCP), names: codes(detect.PathEnds)},
	"all":               {is: codes(detect.PathEnds)},
	"size":              {is: codes(detect.SizeFilter), names: codes(detect.PathEnds)},
	"mark":              {is: codes(detect.MarkDropped), names: codes(detect.PathEnds)},
	"options":           {is: codes(detect.FilteredSYN), names: codes(detect.PathEnds)},
	"member":            {is: codes(detect.BrokenBranch, detect.PortOpen), names: codes(detect.PathEnds, detect.OtherWay)},
	"port-way":          {is: codes(detect.OtherWay), names: codes(detect.PathEnds, detect.FilteredPort)},
	"port-into-nowhere": {is: codes(detect.FilteredPort, detect.OtherWay), names: codes(detect.PathEnds)}, // a silent router drops it: that is a filter
	"reset":             {is: codes(detect.ResetOnPath), names: codes(detect.PortClosed)},
	"proxy":             {is: codes(detect.TCPProxy), names: codes(detect.PortOpen)},
	"reject-port":       {is: codes(detect.RejectedByRouter)},
	"reject-words":      {is: codes(detect.RejectedByRouter), names: codes(detect.UnreachableNetwork, detect.UnreachableHost)},
	"reject-all":        {is: codes(detect.RejectedByRouter)},
	"no-route":          {is: codes(detect.UnreachableNetwork)},
	"target-filter":     {names: codes(detect.FilteredPort, detect.FilteredTCP, detect.FilteredSYN, detect.PathEnds)},
	"target-dead":       {names: codes(detect.PathEnds)},
	"target-reject":     {is: codes(detect.RejectedByTarget)},
	"down":              {is: codes(detect.UnreachableHost), names: codes(detect.PathEnds)},
	"forwarded":         {is: codes(detect.Forwarded, detect.PortOpen)},
	"forwarded-closed":  {is: codes(detect.Forwarded, detect.PortClosed)},
	"mss":               {is: codes(detect.MSSClamped, detect.PortOpen)},
	"mss-raised":        {is: codes(detect.MSSRaised, detect.PortOpen)},
	"stripped":          {is: codes(detect.OptionsRemoved, detect.PortOpen)},
	"syn-limit":         {is: codes(detect.RateLimited, detect.PortOpen)},
	"two-ways":          {is: codes(detect.PortOpen)},
}

func codes(all ...detect.Code) []detect.Code { return all }

// besides are findings about what the random network has beside the cause.
var besides = codes(detect.LoadBalancer, detect.ICMPRateLimit, detect.AsymmetricReturn, detect.PacketLoss)

// randomWorld draws one.
func randomWorld(seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 10))
	one := func(in int) bool { return rng.IntN(in) == 0 }
	w := &world{seed: seed, cause: worldCauses[rng.IntN(len(worldCauses))], clean: true}
	routers := 3 + rng.IntN(9)
	w.last, w.at = routers+1, 1+rng.IntN(routers)
	v6 := one(2)
	addr := func(hop, member int) string {
		if v6 {
			return fmt.Sprintf("2001:db8:b%02x::%x", hop, member)
		}
		return fmt.Sprintf("10.0.%d.%d", hop, member)
	}
	target := "198.51.100.9"
	noRoute, noHost, admin := 0, 1, 13
	if v6 {
		target, noHost, admin = "2001:db8:99::1", 3, 1
	}
	odd := make([]string, routers+1) // what a router is like, beside the cause
	for hop := 1; hop <= routers; hop++ {
		odd[hop] = fmt.Sprintf("delay=%dus", 100+rng.IntN(4000))
		if one(8) {
			odd[hop] += " linux source-rate=1s/6"
			w.clean = false
		}
		if one(10) && !v6 {
			odd[hop] += " quote=min"
		}
	}
	name := make([]string, routers+1)
	for hop := 1; hop <= routers; hop++ {
		name[hop] = addr(hop, 1)
		if one(10) {
			name[hop], w.clean = "*", false
		}
		if one(12) {
			name[hop], w.clean = addr(hop, 1)+","+addr(hop, 2), false
		}
	}
	does, of, second := "", "", ""
	route := func(from int, last string, until int) {
		for hop := 1; hop < from; hop++ {
			second += fmt.Sprintf("router %s %s\n", name[hop], odd[hop])
		}
		second += last
		for hop := from + 1; hop <= until; hop++ {
			second += fmt.Sprintf("router %s %s\n", name[hop], odd[hop])
		}
	}
	silent := "*"
	if !one(4) {
		silent = addr(w.at, 7)
	}
	switch w.cause {
	case "closed":
		of = "closed"
	case "port":
		does = "drop=443"
	case "port-syn":
		does = "drop=443:syn"
	case "syn":
		does = "drop=syn"
	case "tcp":
		does = "drop"
	case "all":
		does = "drop drop=not-tcp"
	case "size":
		does, w.with = "longest=150", append(w.with, "length=300")
	case "mark":
		does, w.with = "drop-tos=184", append(w.with, "tos=184")
	case "options":
		does = "drop-options"
	case "member":
		second = fmt.Sprintf("change share=%v\n", []float64{0.5, 0.3333, 0.125}[rng.IntN(3)])
		route(w.at, fmt.Sprintf("router %s drop drop=not-tcp\n", silent), w.at)
	case "port-way":
		if silent == "*" {
			w.cause = "port-into-nowhere"
		}
		second = "change port=443\n"
		route(w.at, fmt.Sprintf("router %s drop drop=not-tcp\n", silent), w.at)
	case "two-ways":
		second = "change share=0.5\n"
		route(w.at, fmt.Sprintf("router %s delay=1ms\nrouter %s delay=1ms\n", addr(w.at, 8), addr(w.at, 9)), routers)
	case "reset":
		does = "reset=443"
	case "proxy":
		does, of = "accept=443", "closed"
	case "reject-port":
		does = fmt.Sprintf("reject=%d:443", admin)
	case "reject-words":
		does = fmt.Sprintf("reject=%d:443", []int{noRoute, noHost}[rng.IntN(2)])
	case "reject-all":
		does = fmt.Sprintf("reject=%d reject=%d:not-tcp", admin, admin)
	case "no-route":
		does = fmt.Sprintf("reject=%d reject=%d:not-tcp", noRoute, noRoute)
	case "target-filter":
		of, w.at = []string{"filtered=443", "filtered", "filtered=443 closed"}[rng.IntN(3)], w.last
	case "target-dead":
		of, w.at = "filtered no-echo", w.last
	case "target-reject":
		of, w.at = fmt.Sprintf("reject=%d:443", []int{admin, noRoute, noHost}[rng.IntN(3)]), w.last
	case "down":
		does, w.at, name[routers] = "unresolved=3.06s", routers, addr(routers, 1)
	case "forwarded", "forwarded-closed":
		name[w.at] = target
		if w.cause == "forwarded-closed" {
			of = "closed"
		}
	case "mss":
		does = "set-mss=1200"
	case "mss-raised":
		does = "raise-mss=9000"
	case "syn-limit":
		does = fmt.Sprintf("syn-limit=%dms/%d", []int{20, 50, 100, 200}[rng.IntN(4)], 1+rng.IntN(10))
	case "stripped":
		does = "no-option=4,8"
	}
	if strings.HasPrefix(does, "reject") {
		name[w.at] = addr(w.at, 1) // who says no has to say so
	}
	if does == "drop-options" {
		does, w.cause = "", "none" // the simulator's firewalls don't look at options
	}
	if does != "" {
		odd[w.at] += " " + does
	}
	var b strings.Builder
	for hop := 1; hop <= routers; hop++ {
		fmt.Fprintf(&b, "router %s %s\n", name[hop], odd[hop])
	}
	w.text = b.String() + second + fmt.Sprintf("target %s delay=1ms %s\n", target, of)
	return w
}

// judge says whether a finding is true: yes, no, or that it names the truth among other things.
func (w *world) judge(x detect.Finding) (isTrue, named bool) {
	t := worldTruth[w.cause]
	if slices.Contains(besides, x.Code) {
		return true, true // TestInternet judges these
	}
	if slices.Contains(t.is, x.Code) {
		return w.placed(x), true
	}
	return false, slices.Contains(t.names, x.Code)
}

// placed reports whether a finding is about the right place.
func (w *world) placed(x detect.Finding) bool {
	switch x.Code {
	case detect.PortOpen, detect.PortClosed:
		return true
	}
	return x.After <= w.at && w.at <= x.Before
}

// Confidence is measured: random worlds, each with one known cause of trouble or none, are explained; of what is called certain
// nearly all has to be true, of what is likely nine in ten, and what is possible names the truth. The table for docs/findings.md:
//
//	go test ./detect -run TestCalibration -v -worlds 20000
func TestCalibration(t *testing.T) {
	type tally struct{ said, right int }
	table := map[string]*tally{}
	missed := map[string]int{}
	count := map[string]int{}
	for i := range *worlds {
		w := randomWorld(*firstWorld + uint64(i))
		count[w.cause]++
		s := scenario{name: w.cause, network: w.text, with: w.with}
		all := detect.Findings(s.evidence(t, w.seed, nil))
		hit := false
		for _, x := range all {
			isTrue, named := w.judge(x)
			right := isTrue || x.Confidence < detect.Certain && named && x.Confidence == detect.Possible
			k := fmt.Sprintf("%v %s", x.Confidence, x.Code)
			if table[k] == nil {
				table[k] = &tally{}
			}
			table[k].said++
			table[k].right += map[bool]int{true: 1}[right]
			hit = hit || isTrue && !slices.Contains(besides, x.Code) || named && !slices.Contains(besides, x.Code)
			if !right && (x.Confidence == detect.Certain || testing.Verbose() && x.Confidence == detect.Likely) {
				t.Logf("seed %d, %s at hop %d of %d: %v\n%s\n%s", w.seed, w.cause, w.at, w.last, text([]detect.Finding{x}), details(all), w.text)
			}
		}
		if !hit {
			missed[w.cause]++
		}
	}
	for _, sure := range []detect.Confidence{detect.Certain, detect.Likely, detect.Possible} {
		said, right := 0, 0
		for _, k := range slices.Sorted(maps.Keys(table)) {
			if strings.HasPrefix(k, sure.String()) {
				said, right = said+table[k].said, right+table[k].right
				t.Logf("%-34s said %5d, right %5d", k, table[k].said, table[k].right)
			}
		}
		least := map[detect.Confidence]float64{detect.Certain: 0.999, detect.Likely: 0.9, detect.Possible: 0.95}[sure]
		t.Logf("%v: %d of %d", sure, right, said)
		if float64(right) < least*float64(said) {
			t.Errorf("%v is right in %d of %d", sure, right, said)
		}
	}
	for _, c := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%-18s %5d worlds, in %5d nothing names it", c, count[c], missed[c])
	}
}
