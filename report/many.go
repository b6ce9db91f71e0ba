package report

import (
	"fmt"
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

// SharedEnds says, a line each, where the paths to several targets end.
func SharedEnds(all []detect.SharedEnd) (lines []string) {
	for _, s := range all {
		where := "are silent, and so is every hop"
		switch {
		case s.Refused:
			where = fmt.Sprintf("are refused by %v", s.Last)
		case s.Last.IsValid():
			where = fmt.Sprintf("are silent after %v", s.Last)
		}
		lines = append(lines, fmt.Sprintf("%d of %d unreachable targets %s", s.Targets, s.Of, where))
	}
	return lines
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
