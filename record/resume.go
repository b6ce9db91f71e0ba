package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Traced is the targets that stand in what ManyLines has written before. The zero value has none.
type Traced struct{ targets map[untraced]bool }

// Read adds the targets of a file. Its last line may have been cut short: the run was killed. Targets that the end of
// their run has interrupted are not added. The whole file is read, but no more than a line at a time is kept.
func (t *Traced) Read(r io.Reader) error {
	if t.targets == nil {
		t.targets = make(map[untraced]bool)
	}
	lines := bufio.NewReaderSize(r, 1<<16)
	for number := 1; ; number++ {
		if begin, _ := lines.Peek(1); len(begin) > 0 && begin[0] != '{' { // a file of another kind may be one endless line
			b, _ := lines.ReadSlice('\n') // an error: it is longer than what is looked at
			return &LineError{Line: number, Reason: whyNoOutput(b)}
		}
		b, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // what is left has no end
		}
		if err != nil {
			return err
		}
		var line struct {
			Event   string   `json:"event"`
			Schema  string   `json:"schema"`
			Target  untraced `json:"target"`
			Outcome struct {
				Reason Reason `json:"reason"`
			} `json:"outcome"`
		}
		if err := json.Unmarshal(b, &line); err != nil {
			return &LineError{Line: number, Reason: whyNoOutput(b)}
		}
		switch {
		case number == 1 && (line.Event != "run" || line.Schema != ID):
			return &LineError{Line: number, Reason: whyNoOutput(b)}
		case line.Outcome.Reason == Interrupted:
		case line.Event == "target" || line.Event == "untraced":
			t.targets[key(line.Target.Host, line.Target.Port)] = true
		}
	}
}

// A LineError says what is wrong with a line of a file.
type LineError struct {
	File   string // "": not known
	Line   int    // from 1
	Reason string
}

func (e *LineError) Error() string {
	where := fmt.Sprintf("line %d", e.Line)
	if e.File != "" {
		where = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return where + ": " + e.Reason
}

// whyNoOutput says why a line isn't what ManyLines writes.
func whyNoOutput(line []byte) string {
	switch line = bytes.TrimSpace(line); {
	case len(line) == 0:
		return "an empty line"
	case line[0] != '{':
		return "no JSON"
	case !json.Valid(line):
		return "damaged JSON, or a document of several lines"
	}
	return "JSON of another kind"
}

// Has reports whether a target stands there, by its host as it was written.
func (t *Traced) Has(host string, port uint16) bool { return t.targets[key(text(host), port)] }

func key(host string, port uint16) untraced { return untraced{strings.ToLower(host), port} }
