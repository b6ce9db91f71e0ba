package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/record"
)

// TargetLine is a line about one target of a list: HOST PORT, and what became of it.
func TargetLine(t *record.Listed) string {
	return record.Printable(fmt.Sprintf("%s %d %s", t.Host, t.Port, whatBecame(t)))
}

// whatBecame says what became of a target.
func whatBecame(t *record.Listed) string {
	if t.Trace == nil {
		return untraced(t)
	}
	s := &t.Summary
	text := ending(s)
	if a := t.Trace.Inferred[1]; s.State == "no_answer" && s.LastTTL == 0 && a.IsValid() {
		text = fmt.Sprintf("no answer, silent after hop 1 (%v=)", a)
	}
	if t.Trace.Ending.Err == nil && s.State == "not_sent" {
		text = "not sent: " + sendError(t.Trace)
	}
	if t.Explained != "" && s.Reached() {
		text += ", but an earlier trace did not reach it"
	}
	switch t.Trace.Ending.Reason {
	case record.TimedOut:
		text += ", not finished in time"
	case record.Interrupted:
		text += ", interrupted"
	}
	return text
}

func ending(s *record.Summary) string {
	switch {
	case s.Reached() && s.Hops == 0:
		return s.State + ", but how far away it is could not be told"
	case s.Reached():
		return fmt.Sprintf("%s %s %s", s.State, hops(s.Hops), shortTime(s.RTT))
	case s.State == "refused" && s.Hops == 0:
		return fmt.Sprintf("refused by %v (%s)", s.From, s.Mark)
	case s.State == "refused":
		return fmt.Sprintf("refused at hop %d by %v (%s)", s.Hops, s.From, s.Mark)
	case s.Beyond:
		return fmt.Sprintf("not reached in %d hops (the last is %v)", s.LastTTL, s.Last)
	case s.LastTTL > 0:
		return fmt.Sprintf("no answer, silent after hop %d (%v)", s.LastTTL, s.Last)
	}
	return "no answer, nor from any hop"
}

// sendError is why the probes of a trace could not be sent.
func sendError(t *record.Trace) string {
	for _, r := range t.Results {
		if r.Err != nil {
			return r.Err.Error()
		}
	}
	return "this host could not send"
}

func untraced(t *record.Listed) string {
	reason := ""
	if t.Err != nil {
		reason = ": " + t.Err.Error()
	}
	switch t.Why {
	case record.NotFound:
		return "not found" + reason
	case record.Same:
		return "not traced: another name leads to the same address and port"
	case record.Excluded:
		return "not traced: the name leads to an address that is excluded"
	}
	return "not sent" + reason
}

func hops(n int) string {
	if n == 1 {
		return "1 hop"
	}
	return fmt.Sprintf("%d hops", n)
}

// shortTime is a time in milliseconds, with as many digits as one looks at.
func shortTime(d time.Duration) string {
	ms := milliseconds(d)
	switch {
	case ms < 0.1:
		return fmt.Sprintf("%.3f ms", ms)
	case ms < 1:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// ManyProgress says how far a run over lists of targets is that began some time ago.
func ManyProgress(s record.ManyStatus, sofar time.Duration) string {
	text := Thousands(s.Done())
	if all := s.Read - s.Resumed - s.Repeated - s.Excluded; s.All && all > 0 {
		text += fmt.Sprintf(" of %s (%d %%)", Thousands(all), 100*s.Done()/all)
	}
	text += fmt.Sprintf(" done, %d open", s.Open)
	if s.Held > 0 {
		text += fmt.Sprintf(", %d to be explained", s.Held)
	}
	if seconds := sofar.Seconds(); seconds >= 1 {
		text += fmt.Sprintf(", %.0f targets a second", float64(s.Done())/seconds)
	}
	if s.LostHere > 0 {
		text += ", " + Thousands(s.LostHere) + " answers lost on this host"
	}
	return text
}

// ManyCounts says what became of the targets of a run that took some time.
func ManyCounts(c *record.ManyCounts, took time.Duration) string {
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{
		{c.Reached, "reached"}, {c.Refused, "refused"}, {c.NotReached, "not reached"},
		{c.Interrupted, "interrupted"}, {c.NotBegun(), "or more not begun"},
		{c.NotTraced, "not traced"}, {c.Resumed, "traced before"},
		{c.Repeated, "named twice"}, {c.Excluded, "excluded"}, {c.BadLines, "unreadable"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", Thousands(part.n), part.what))
		}
	}
	if len(parts) == 0 {
		parts = []string{"none"}
	}
	return fmt.Sprintf("%s in %v: %s", Plural(c.Read, "target"), took.Round(100*time.Millisecond),
		strings.Join(parts, ", "))
}

// NoneTraced says why a run that came to its end has traced no target at all; "": it has, or tried to.
func NoneTraced(c *record.ManyCounts) string {
	switch {
	case c.Done() > 0 || c.BadLines > 0:
		return ""
	case c.Read == 0:
		return "Nothing to trace: the list is empty"
	case c.Excluded == 0:
		return "Nothing left to trace: all targets were traced before"
	case c.Resumed == 0:
		return "Nothing to trace: all targets are excluded"
	}
	return "Nothing left to trace: all targets were traced before, or are excluded"
}

// Thousands is a number that people read.
func Thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Plural is a number of things, as people read it.
func Plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return Thousands(n) + " " + what
}

// SharedEnds says, a line each, where the paths to several targets end.
func SharedEnds(all []detect.SharedEnd) (lines []string) {
	for _, s := range all {
		where := "are silent, and so is every hop"
		switch {
		case s.Refused:
			where = fmt.Sprintf("are refused by %v", s.Last)
		case s.Last.IsValid():
			where = fmt.Sprintf("are silent after %v", s.Last)
			if s.MayGoOn() {
				where += fmt.Sprintf(" or beyond (%d of %d traces that get farther lack the next hop)", s.Lacking, s.Past)
			}
		}
		lines = append(lines, fmt.Sprintf("%d of %d unreachable targets %s%s", s.Targets, s.Of, where, sharedCauses(&s)))
	}
	return lines
}

// sharedCauses says why paths end at the same place, and how many of them were explained; "": nobody asked.
func sharedCauses(s *detect.SharedEnd) string {
	if s.Explained == 0 {
		return ""
	}
	of := "all explained"
	if s.Explained < s.Targets {
		of = fmt.Sprintf("explained %d of them", s.Explained)
	}
	var causes []string
	known := 0
	for _, c := range s.Causes {
		text := fmt.Sprintf("%s, %v", causeWords(&c), c.Confidence)
		if c.Targets < s.Explained {
			text += fmt.Sprintf(" (%d)", c.Targets)
		}
		causes = append(causes, text)
		known += c.Targets
	}
	if known < s.Explained {
		text := "no cause found"
		if known > 0 {
			text += fmt.Sprintf(" (%d)", s.Explained-known)
		}
		causes = append(causes, text)
	}
	return fmt.Sprintf(": %s (%s)", strings.Join(causes, "; "), of)
}

// causeWords is a cause that several targets share, in few words.
func causeWords(c *detect.SharedCause) string {
	where := ""
	if c.Beyond {
		where = " beyond it"
	}
	words := map[detect.Code]string{
		detect.FilteredPort: "their port is filtered", detect.FilteredSYN: "new connections are filtered",
		detect.FilteredACK: "ACKs are filtered", detect.FilteredTCP: "TCP is filtered",
		detect.Filtered: "probes vanish", detect.PathEnds: "nothing gets farther, filtered or broken",
		detect.BrokenBranch: "one of several ways is broken", detect.OtherWay: "the way of their port is broken",
		detect.SizeFilter: "packets of this length are filtered", detect.MarkDropped: "packets with this mark are filtered",
		detect.StuckService: "the service takes no connections", detect.ThisHost: "this host itself drops them",
		detect.RateLimited: "SYNs are limited", detect.RoutingLoop: "packets go round in a loop",
		detect.RejectedByRouter:   "a rule of a router rejects them",
		detect.RejectedByTarget:   "the target, or what stands right in front of it, rejects them",
		detect.UnreachableNetwork: "there is no route to them", detect.UnreachableHost: "nobody answers on the last link",
		detect.MTULimit: "the packets are too large",
	}[c.Code]
	if words == "" {
		return string(c.Code) + where
	}
	return words + where
}

// WithInferred adds who stands at hops by traces to other targets to the text of a trace, as [Classic] writes it: an
// address with = behind it, and no time.
func WithInferred(text string, t *record.Trace) string {
	var b strings.Builder
	next := 1
	add := func(ttl int) {
		for ; next < ttl; next++ {
			if a := t.Inferred[next]; a.IsValid() {
				fmt.Fprintf(&b, "%2d  %v=\n", next, a)
			}
		}
	}
	for line := range strings.Lines(text) {
		ttl := 0
		if n, err := fmt.Sscan(line[:min(len(line), 2)], &ttl); n == 1 && err == nil && ttl >= next {
			add(ttl)
			next = ttl + 1
			if a := t.Inferred[ttl]; a.IsValid() {
				line = fmt.Sprintf("%2d  %v= %s", ttl, a, strings.TrimLeft(line[2:], " "))
			}
		}
		b.WriteString(line)
	}
	return b.String()
}
