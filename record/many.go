package record

import (
	"io"
	"time"

	"go.example/tcptraceroute/detect"
)

// Listed is one target of a run over lists of targets.
type Listed struct {
	Index int    // its place among the targets of all lists, from 1
	File  string // the list that names it
	Line  int    // of File, from 1
	Host  string // as written there
	Port  uint16

	Trace   *Trace // nil: it wasn't traced
	Summary        // of Trace
	Fold    *Fold  // of Trace, for all who read it; nil: nobody kept it, see Folded
	Why     Why    // it wasn't
	Err     error  // more of that; nil: there is no more

	// Explained is the state that a first trace found, if Trace is a second one that was made to explain it; else "".
	Explained string
}

// Folded is Trace folded into hops.
func (l *Listed) Folded() *Fold {
	if l.Fold != nil {
		return l.Fold
	}
	return l.Trace.Fold()
}

// Why says why a target was not traced.
type Why uint8

const (
	WasTraced Why = iota // it was
	NotFound             // its name has no address: Err says more
	Same                 // another name leads to the same address and port
	Excluded             // its name leads to an address that must not be probed
	NoWay                // this host has no way to it: Err says more
)

func (w Why) String() string { return [...]string{"", "not_found", "same", "excluded", "no_way"}[w] }

// ManyRun is what a run over lists of targets was asked for.
type ManyRun struct {
	Version string // of the program
	Started time.Time
	Lists   []string
	Rate    int // packets a second, over all targets
	Open    int // targets at a time
	Queries int // probes per hop
	Timeout time.Duration
}

// ManyCounts counts the targets of a run over lists of targets.
type ManyCounts struct {
	Read       int // targets that were read
	Reached    int // targets that answered
	Refused    int // targets of which somebody said that the probes go no further
	NotReached int // targets that did not answer
	NotTraced  int // targets without a trace, or of which no probe could be sent
	Unsent     int // of those: this host had no way to it, or could send nothing
	BadLines   int // lines that could not be read
	Repeated   int // targets that were named before
	Excluded   int // targets that must not be probed
	Resumed    int // targets that were traced before
	Late       int // results that came after their target's end

	Interrupted int // targets that had not answered when the end of the run ended their traces
}

// Add counts what became of a target.
func (c *ManyCounts) Add(t *Listed) {
	_, unreached := t.End()
	switch {
	case t.Trace == nil && t.Why == Same: // as an address that is named twice
		c.Repeated++
	case t.Trace == nil && t.Why == Excluded: // as an address that is excluded
		c.Excluded++
	case t.Trace == nil && t.Why != NoWay:
		c.NotTraced++
	case t.Trace == nil:
		c.NotTraced++
		c.Unsent++
	case t.Reached():
		c.Reached++
	case !unreached:
		c.NotTraced++
		c.Unsent++
	case t.State == "refused":
		c.Refused++
	case t.Trace.Ending.Reason == Interrupted:
		c.Interrupted++
	default:
		c.NotReached++
	}
}

// Done is how many targets have come to their end.
func (c *ManyCounts) Done() int {
	return c.Reached + c.Refused + c.NotReached + c.NotTraced + c.Interrupted
}

// NotBegun is how many targets were read and nothing came of: the run ended before.
func (c *ManyCounts) NotBegun() int { return c.Read - c.Done() - c.Repeated - c.Excluded - c.Resumed }

// ManyStatus is how far a run over lists of targets is.
type ManyStatus struct {
	ManyCounts
	All      bool // no more targets are to be read
	Open     int  // targets that are being traced
	Held     int  // targets that wait to be explained
	Sent     int  // probes
	LostHere int  // answers that this host lost
	Rate     int  // packets a second
}

// ManyEnd is how a run over lists of targets ended.
type ManyEnd struct {
	Ending
	ManyCounts
	Shared []detect.SharedEnd
}

// ManyLines writes a line of JSON for each target of a run, between a first and a last line.
type ManyLines struct{ w io.Writer }

// runLine, targetLine, untracedLine and runEndLine are the four sorts of lines. A targetLine is a whole document.
type runLine struct {
	Event   string     `json:"event"`
	Schema  string     `json:"schema"`
	Program program    `json:"program"`
	Started string     `json:"started"`
	Lists   []string   `json:"lists"`
	Options runOptions `json:"run_options"`
}

type runOptions struct {
	Rate      int     `json:"rate"`
	Jobs      int     `json:"jobs"`
	Queries   int     `json:"queries"`
	TimeoutMS float64 `json:"target_timeout_ms"`
}

type place struct {
	Event string `json:"event"`
	Index int    `json:"index"`
	List  string `json:"list"`
	Line  int    `json:"line"`
}

type targetLine struct {
	place
	Explained string `json:"first_state,omitempty"`
	document
}

type untracedLine struct {
	place
	Target untraced `json:"target"`
	Why    string   `json:"why"`
	Error  string   `json:"error,omitempty"`
}

type untraced struct {
	Host string `json:"host"`
	Port uint16 `json:"port"`
}

type runEndLine struct {
	Event      string      `json:"event"`
	Ended      string      `json:"ended"`
	Reason     string      `json:"reason"`
	Signal     string      `json:"signal,omitempty"`
	Error      string      `json:"error,omitempty"`
	ExitCode   int         `json:"exit_code"`
	Targets    int         `json:"targets"`
	Reached    int         `json:"reached"`
	Refused    int         `json:"refused"`
	NotReached int         `json:"not_reached"`
	NotTraced  int         `json:"not_traced"`
	BadLines   int         `json:"bad_lines"`
	Repeated   int         `json:"repeated"`
	Excluded   int         `json:"excluded"`
	Resumed    int         `json:"resumed"`
	Sent       int         `json:"sent"`
	LostHere   int         `json:"lost_here"`
	Late       int         `json:"late"`
	Stopped    int         `json:"interrupted"`
	Shared     []sharedEnd `json:"shared_ends,omitempty"`
}

type sharedEnd struct {
	State   string `json:"state"`
	Address string `json:"address,omitempty"`
	Targets int    `json:"targets"`
	Of      int    `json:"of"`
	Past    int    `json:"past,omitempty"`
	Lacking int    `json:"lacking,omitempty"`

	Explained int           `json:"explained,omitempty"`
	Causes    []sharedCause `json:"causes,omitempty"`
}

type sharedCause struct {
	Code       string `json:"code"`
	Confidence string `json:"confidence"`
	Targets    int    `json:"targets"`
}

// NewManyLines writes the first line to w.
func NewManyLines(w io.Writer, r ManyRun) (*ManyLines, error) {
	lists := []string{}
	for _, l := range r.Lists {
		lists = append(lists, text(l))
	}
	return &ManyLines{w}, write(w, "", runLine{
		Event: "run", Schema: ID, Program: program{"tcptraceroute", r.Version}, Started: instant(r.Started), Lists: lists,
		Options: runOptions{r.Rate, r.Open, r.Queries, milliseconds(r.Timeout)},
	})
}

// Add writes the line of a target that has come to its end.
func (l *ManyLines) Add(t Listed) error {
	p := place{Event: "target", Index: t.Index, List: text(t.File), Line: t.Line}
	if t.Trace != nil {
		return write(l.w, "", targetLine{p, t.Explained, documentOf(t.Trace, t.Folded())})
	}
	p.Event = "untraced"
	line := untracedLine{place: p, Target: untraced{text(t.Host), t.Port}, Why: t.Why.String()}
	if t.Err != nil {
		line.Error = text(t.Err.Error())
	}
	return write(l.w, "", line)
}

// Finish writes the last line.
func (l *ManyLines) Finish(e ManyEnd) error {
	line := runEndLine{
		Event: "end", Ended: instant(e.Time), Reason: string(e.Reason), Signal: e.Signal, ExitCode: e.ExitCode,
		Targets: e.Read, Reached: e.Reached, Refused: e.Refused, NotReached: e.NotReached, NotTraced: e.NotTraced,
		BadLines: e.BadLines,
		Repeated: e.Repeated, Excluded: e.Excluded, Resumed: e.Resumed, Sent: e.Counts.Sent, LostHere: e.Counts.LostHere,
		Late: e.Late, Stopped: e.Interrupted,
	}
	if e.Err != nil {
		line.Error = text(e.Err.Error())
	}
	for _, s := range e.Shared {
		state := "no_answer"
		if s.Refused {
			state = "refused"
		}
		end := sharedEnd{State: state, Address: address(s.Last), Targets: s.Targets, Of: s.Of, Past: s.Past,
			Lacking: s.Lacking, Explained: s.Explained}
		for _, c := range s.Causes {
			end.Causes = append(end.Causes, sharedCause{string(c.Code), c.Confidence.String(), c.Targets})
		}
		line.Shared = append(line.Shared, end)
	}
	return write(l.w, "", line)
}
