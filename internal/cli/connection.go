package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"go.example/tcptraceroute/measure"
	"go.example/tcptraceroute/record"
)

// findConnection takes the connection that is to be traced, if this host has it and it is the user's own.
func (p *program) findConnection(operands []string, user int) error {
	c := &p.Connection
	if len(operands) > 0 {
		return fmt.Errorf("--connection and --pid take no host, which the connection has: leave %s out",
			record.Printable(operands[0]))
	}
	all, err := measure.Connections(c.Process)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("There is no process %d", c.Process)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("The connections of process %d are another user's", c.Process)
	case err != nil:
		return fmt.Errorf("connections: %w", err)
	}
	wanted := c.Target.IsValid()
	all = slices.DeleteFunc(all, func(e measure.Established) bool {
		return wanted && (e.Source != c.Source || e.Target != c.Target) || !p.Root && int(e.UID) != user && !wanted
	})
	switch {
	case len(all) == 0 && wanted:
		return fmt.Errorf("This host has no open connection %v-%v", c.Source, c.Target)
	case len(all) == 0:
		return fmt.Errorf("Process %d has no open TCP connection of yours", c.Process)
	case len(all) > 1 && !wanted:
		for _, e := range all {
			if _, err := fmt.Fprintln(p.stdout, e); err != nil {
				return fmt.Errorf("writing: %w", err)
			}
		}
		return fmt.Errorf("Process %d has %d connections: choose one by --connection", c.Process, len(all))
	case !p.Root && int(all[0].UID) != user:
		return fmt.Errorf("The connection %v is another user's", all[0])
	}
	e := all[0]
	c.Source, c.Target = e.Source, e.Target
	p.Host, p.Service, p.ServiceSet = e.Target.Addr().String(), fmt.Sprint(e.Target.Port()), true
	p.Source, p.SourceSet = e.Source.Addr().String(), true
	return nil
}
