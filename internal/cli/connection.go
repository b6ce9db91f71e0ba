package cli

import (
	"fmt"

	"go.example/tcptraceroute/internal/words"
	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
)

// findConnection takes the connection that is to be traced, if this host has it and it is the user's own.
func (p *program) findConnection(operands []string, user int) error {
	if len(operands) > 0 {
		return fmt.Errorf("--connection and --pid take no host, which the connection has: leave %s out",
			record.Printable(operands[0]))
	}
	all, err := measure.Connections(p.Connection.Process)
	if err != nil {
		return words.NoConnections(p.Connection.Process, err)
	}
	several, err := p.ChooseConnection(all, user)
	for _, e := range several {
		if _, err := fmt.Fprintln(p.stdout, e); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
	}
	return err
}
