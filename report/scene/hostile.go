package scene

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"go.example/tcptraceroute/record"
	"go.example/tcptraceroute/report"
)

// Hostile are names and texts that somebody chose to do harm: on terminals, in spreadsheets, in markup, in parsers.
func Hostile() []string {
	var all []string
	for c := range 0x20 { // C0
		all = append(all, "a"+string(rune(c))+"b")
	}
	for c := 0x7f; c <= 0x9f; c++ { // DEL and C1 as UTF-8
		all = append(all, "a"+string(rune(c))+"b")
	}
	for c := 0x80; c <= 0x9f; c++ { // C1 as they are: not UTF-8
		all = append(all, "a"+string([]byte{byte(c)})+"b")
	}
	for _, r := range "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200c\u200d" +
		"\u2060\ufeff\u2028\u2029\u00ad\u061c\u180e" {
		all = append(all, "good"+string(r)+"evil.example") // bidirectional, zero-width, line ends
	}
	for _, first := range "=+-@\t\r\n'|%" {
		all = append(all, string(first)+`cmd|' /C calc'!A0`)
	}
	return append(all,
		"\x1b[2J\x1b[H", "\x1b]0;owned\x07", "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\", "\x1b]52;c;cm0gLXJm\x07",
		"\x9b31mred", "\u009b31mred", "\x1bP$q\x1b\\", "\x1b[31m", "\x1b]1337;File=:AA==\a", "a\r\nb", "a\n\nb,c\n",
		"\xff\xfe", "\xc3", "\xe2\x82", "\xf0\x9f\x92", "\xed\xa0\x80", "\xc0\xaf", "\xf8\x88\x80\x80\x80",
		"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "]]><!--", "<![CDATA[", "&lt;b&gt;", "&#x41;", "&amp;",
		`"`, `'`, "`", `""`, `\`, `\\`, `\"`, `\n`, `\x1b`, `a","b`, `a";"b`, `"]; evil -> node; x ["`,
		`end"; click A "javascript:alert(1)`,
		"%s%n", "${jndi:ldap://x}", "{{7*7}}", "$(reboot)", "`reboot`", "; rm -rf /", "..\\..\\", "../../etc/passwd", "\x00",
		"#quot;", "#35;", "|pipe|", "{rhombus}", "[box]", "(round)", "-->", "subgraph x", "end", "graph", "%% comment",
		"xn--80ak6aa92e.com", "аррӏе.com", "𝒆vil", "👩‍💻", "e\u0301",
		strings.Repeat("x", 4096), strings.Repeat("\u202e", 1365),
		strings.Repeat("<", 1000), "", " ", "  lead and trail  ", "\t", "null", "true", "-1", "1e999", "NaN", "=1+1",
	)
}

// Attack is a scene in which a hostile text stands wherever one can: as a name, as the name of an AS and of an
// interface, and as the host that the user typed.
func Attack(text string) Scene {
	var ifName strings.Builder
	for _, c := range []byte(strings.TrimRight(text[:min(len(text), 63)], "\x00")) {
		fmt.Fprintf(&ifName, "%%%02x", c)
	}
	router := "router 198.51.100.1 delay=1ms mpls=16/0/1 if-role=0 if-index=1"
	if ifName.Len() > 0 {
		router += " if-name=" + ifName.String()
	}
	return Scene{
		Network: router + "\nrouter 198.51.100.5,198.51.100.6 per-packet\nrouter *\ntarget 203.0.113.9 open",
		Host:    text,
		Names:   map[string]string{"198.51.100.1": text, "198.51.100.6": text, "203.0.113.9": text},
		Owners: map[string]record.Owner{
			"198.51.100.1": {ASN: 64500, Name: text, Country: text}, "198.51.100.5": {ASN: 64501, Name: text},
		},
		Edit: func(r *report.Run) { r.Service, r.Hostname, r.Interface, r.Version = text, text, text, text },
	}
}

// Harmless reports the first byte that isn't printable ASCII or a line feed: without any, no terminal does anything but
// show it.
func Harmless(out []byte) error {
	for i, c := range out {
		if (c < ' ' || c > '~') && c != '\n' {
			return fmt.Errorf("byte %#x at %d: %q", c, i, out[max(0, i-20):min(len(out), i+20)])
		}
	}
	return nil
}

// Interrupts calls f with the scene stopped at each of 100 random instants.
func Interrupts(s Scene, f func(Scene)) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 100 {
		s.Stop = time.Duration(rng.ExpFloat64() * float64(5*time.Millisecond<<(i%11)))
		f(s)
	}
}
