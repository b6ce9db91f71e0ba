package record

import (
	"bufio"
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
			return fmt.Errorf("line %d: %w", number, err)
		}
		switch {
		case number == 1 && (line.Event != "run" || line.Schema != ID):
			return errors.New("not the output of --targets with --json")
		case line.Outcome.Reason == Interrupted:
		case line.Event == "target" || line.Event == "untraced":
			t.targets[key(line.Target.Host, line.Target.Port)] = true
		}
	}
}

// Has reports whether a target stands there, by its host as it was written.
func (t *Traced) Has(host string, port uint16) bool { return t.targets[key(text(host), port)] }

func key(host string, port uint16) untraced { return untraced{strings.ToLower(host), port} }
