package detect_test

import (
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.example/tcptraceroute/detect"
)

var (
	worlds     = flag.Int("worlds", 400, "how many random worlds TestCalibration explains")
	firstWorld = flag.Uint64("first-world", 1, "the seed of the first of them")
	harsh      = flag.Bool("harsh", false, "add a limit on SYNs to each world, and a stuck service to half of them")
	hurried    = flag.Bool("hurried", false, "leave out questions at random, as if the time were up")
	showWorlds = flag.String("show", "", "show wrong findings by confidence and code, missed causes by name")
)

// calibration is how often each finding was said and right, and how often each cause was missed.
type calibration struct {
	sync.Mutex
	said, right map[string]int // by confidence and code
	worlds      map[string]int // with one cause, by it
	missed      map[string]int
	instead     map[string]map[string]int // what was said of those that were missed
	visible     map[string]bool           // the causes of which a finding could be true
	clean, odd  int                       // clean worlds, and findings in them that should not be
}

// Confidence is measured: random worlds, each with known causes of trouble or none, are explained; of what is called
// certain nearly all has to be true, of what is likely nine in ten, and what is possible names the truth. The tables
// for docs/findings.md:
//
//	go test ./detect -run TestCalibration -v -worlds 20000 -first-world 7000000
func TestCalibration(t *testing.T) {
	c := &calibration{
		said: map[string]int{}, right: map[string]int{}, worlds: map[string]int{}, missed: map[string]int{},
		instead: map[string]map[string]int{}, visible: map[string]bool{"closed": true, "acks": true},
	}
	t.Run("worlds", func(t *testing.T) {
		parts := uint64(runtime.GOMAXPROCS(0))
		for part := range parts {
			t.Run(fmt.Sprint(part), func(t *testing.T) {
				t.Parallel()
				for i := part; i < uint64(*worlds); i += parts {
					w := randomWorld(*firstWorld + i)
					s := w.scenario()
					c.add(t, w, s, detect.Findings(s.evidence(t, w.seed, nil)))
				}
			})
		}
	})
	c.report(t)
}

// add judges what was found in a world.
func (c *calibration) add(t *testing.T, w *world, s *scenario, all []detect.Finding) {
	c.Lock()
	defer c.Unlock()
	hit := map[string]bool{}
	for _, x := range all {
		right, hits := w.judge(x)
		for _, h := range hits {
			hit[h.cause] = true
		}
		k := fmt.Sprintf("%v %s", x.Confidence, x.Code)
		c.said[k]++
		if right {
			c.right[k]++
		} else if x.Confidence == detect.Certain || *showWorlds != "" && strings.Contains(k, *showWorlds) {
			one := text([]detect.Finding{x})
			t.Logf("seed %d, %s, %q: wrong: %v\n%s\n%s", w.seed, s.name, s.with, one, details(all), s.network)
		}
	}
	if w.clean {
		c.clean++
		if len(all) != 1 || all[0].Code != detect.PortOpen && all[0].Code != detect.PortClosed {
			c.odd++
			t.Logf("seed %d, clean, %q: %v\n%s\n%s", w.seed, s.with, text(all), details(all), s.network)
		}
	}
	if len(w.causes) != 1 {
		return
	}
	cause := w.causes[0]
	for _, f := range w.facts {
		c.visible[f.cause] = c.visible[f.cause] || f.code != "" || f.named != nil
	}
	if c.worlds[cause]++; hit[cause] {
		return
	}
	c.missed[cause]++
	if c.instead[cause] == nil {
		c.instead[cause] = map[string]int{}
	}
	c.instead[cause][strings.Join(short(all), ", ")]++
	if *showWorlds != "" && *showWorlds == cause {
		t.Logf("seed %d, %s, %q: missed: %v\n%s\n%s", w.seed, s.name, s.with, text(all), details(all), s.network)
	}
}

// short is findings in few words.
func short(all []detect.Finding) (words []string) {
	for _, x := range all {
		words = append(words, fmt.Sprintf("%s %v", x.Code, x.Confidence))
	}
	if len(words) == 0 {
		return []string{"nothing"}
	}
	return words
}

// The least share of findings that must be right, by confidence.
var leastRight = map[detect.Confidence]float64{detect.Certain: 0.999, detect.Likely: 0.9, detect.Possible: 0.95}

// report prints the tables, and fails if confidence isn't earned.
func (c *calibration) report(t *testing.T) {
	t.Log("| finding | certain | likely | possible |")
	total := map[detect.Confidence][2]int{}
	all := []detect.Confidence{detect.Certain, detect.Likely, detect.Possible}
	for _, code := range slices.Sorted(slices.Values(detect.Codes())) {
		row, sum := fmt.Sprintf("| %s |", code), 0
		for _, sure := range all {
			k := fmt.Sprintf("%v %s", sure, code)
			n := total[sure]
			total[sure] = [2]int{n[0] + c.right[k], n[1] + c.said[k]}
			sum += c.said[k]
			if c.said[k] > 0 {
				row += fmt.Sprintf(" %d of %d", c.right[k], c.said[k])
			}
			row += " |"
		}
		if sum < *worlds/200 {
			row += " said too seldom"
		}
		t.Log(row)
	}
	for _, sure := range all {
		n := total[sure]
		t.Logf("%v: %d of %d", sure, n[0], n[1])
		if float64(n[0]) < leastRight[sure]*float64(n[1]) {
			t.Errorf("%v is right in %d of %d", sure, n[0], n[1])
		}
	}
	t.Logf("clean: %d worlds, %d with a finding but the port's state", c.clean, c.odd)
	if c.odd > 0 {
		t.Errorf("something is found in %d clean worlds", c.odd)
	}
	t.Log("| cause | alone in | missed | said instead |")
	for _, cause := range slices.Sorted(maps.Keys(c.worlds)) {
		if !c.visible[cause] {
			continue // there is nothing to be found of it
		}
		t.Logf("| %s | %d | %d | %s |", cause, c.worlds[cause], c.missed[cause], often(c.instead[cause]))
	}
}

// often is the most frequent of them.
func often(n map[string]int) string {
	keys := slices.SortedFunc(maps.Keys(n), func(a, b string) int {
		if n[a] != n[b] {
			return n[b] - n[a]
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, k := range keys[:min(len(keys), 3)] {
		parts = append(parts, fmt.Sprintf("%s (%d)", k, n[k]))
	}
	return strings.Join(parts, "; ")
}
