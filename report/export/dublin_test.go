package export_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"go.example/tcptraceroute/report/export"
	"go.example/tcptraceroute/report/scene"
	"go.example/tcptraceroute/trace"
)

// dublinHops are the hops of all flows of a file of dublin-traceroute's.
func dublinHops(t *testing.T, text string) (all []map[string]any) {
	t.Helper()
	var file struct {
		Flows map[string][]map[string]any `json:"flows"`
	}
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	for _, port := range slices.Sorted(maps.Keys(file.Flows)) {
		all = append(all, file.Flows[port]...)
	}
	return all
}

// forms are the keys below a value of JSON, with the types of their values.
func forms(path string, value any) (all []string) {
	keys, ok := value.(map[string]any)
	if !ok {
		return []string{fmt.Sprintf("%s %T", path, value)}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		all = append(all, forms(path+"/"+key, keys[key])...)
	}
	return all
}

// A hop that answers, and one that doesn't, have the keys that a file of dublin-traceroute 0.4.2 has, recorded behind
// routers of the kernel, and values of the same types; so has the target, though it answers by TCP.
func TestDublinForm(t *testing.T) {
	recorded, err := os.ReadFile("testdata/dublin-traceroute-0.4.2.json")
	if err != nil {
		t.Fatal(err)
	}
	want := map[bool][]string{} // by whether it answers
	for _, h := range dublinHops(t, string(recorded)) {
		want[h["received"] != nil] = forms("", h)
	}
	for _, target := range []string{"203.0.113.9 open", "203.0.113.9 closed", "203.0.113.9 filtered"} {
		s := scene.Scene{Network: "router 198.51.100.1 delay=1ms\nrouter *\nrouter 198.51.100.3\ntarget " + target,
			Path: trace.PathOptions{MaxTTL: 9}, Names: map[string]string{"198.51.100.3": "three.example"}}
		text := play(t, s, export.NewDublin)
		hops := dublinHops(t, text)
		if len(hops) != 4 || hops[1]["received"] != nil || hops[2]["name"] != "three.example" || hops[0]["is_last"] == true ||
			hops[3]["is_last"] != true {
			t.Errorf("%s:\n%s", target, text)
		}
		for _, h := range hops {
			if got := forms("", h); !slices.Equal(got, want[h["received"] != nil]) {
				t.Errorf("%s: keys\n%s\nand dublin-traceroute's\n%s", target, strings.Join(got, "\n"),
					strings.Join(want[h["received"] != nil], "\n"))
			}
		}
	}
}

// What the form has of values is what dublin-traceroute makes of them.
func TestDublinValues(t *testing.T) {
	s := scene.Scene{Network: `
		router 198.51.100.1 delay=1ms
		router 198.51.100.2 mpls=16000/0/64
		router 198.51.100.3 reject=13
		target 203.0.113.9`}
	text := play(t, s, export.NewDublin)
	for _, part := range []string{`"41234": [`, `"rtt_usec": 2000`, `"description": "TTL expired in transit"`, `"label": 16000`,
		`"description": "!A"`, `"timestamp": "946684800.00`, `"sport": 41234`, `"code": 11`, `"nat_id": 0`,
		fmt.Sprintf(`"flowhash": %d`, 192+203+6+41234+443)} {
		if !strings.Contains(text, part) {
			t.Errorf("no %s in\n%s", part, text)
		}
	}
}
