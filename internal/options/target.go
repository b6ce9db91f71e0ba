package options

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Operands reads the arguments: host, port and length, or what is to be traced beside lists.
func (c *Config) Operands(operands []string) (err error) {
	switch {
	case c.Many.On():
		return c.manyOperands(operands)
	case c.lacksPath(operands):
		return fmt.Errorf("--port-for needs a path before the host: its number, or the address of a router on it, as in "+
			"--port-for 1 %s", strings.TrimSpace(c.AllPaths.PortFor+" "+strings.Join(operands, " ")))
	case len(operands) == 0:
		return errors.New("host missing: tcptraceroute [options] host [port]; see tcptraceroute --help")
	case len(operands) > 3:
		return fmt.Errorf("Too many arguments, the first is %s: after host, port and packet length there is none; see "+
			"tcptraceroute --help", quoted(operands[3]))
	}
	if c.Host, c.Service, err = SplitHost(operands[0]); err != nil {
		return err
	}
	c.ServiceSet = c.Service != ""
	if len(operands) > 1 && c.AfterN != "" && c.AfterN == c.Host && len(c.AfterN) <= 3 && !Digits(operands[1]) {
		return fmt.Errorf("The host would be %s, and the port %s: %s", c.Host, quoted(operands[1]), AfterN)
	}
	if len(operands) > 1 {
		port := strings.TrimSpace(operands[1])
		if c.ServiceSet && port != c.Service {
			return fmt.Errorf("Two ports for the target: %s by %s, and %s by the argument after it: leave one out", c.Service,
				c.Host, port)
		}
		c.Service, c.ServiceSet = port, true
	}
	if len(operands) > 2 && operands[2] != "" { // scripts leave it empty for the default
		return c.lengthOperand(strings.TrimSpace(operands[2]))
	}
	return nil
}

// lengthOperand reads the third operand. The old program takes what is no number for 0.
func (c *Config) lengthOperand(v string) error {
	n, err := strconv.Atoi(v)
	if !Digits(v) || err != nil || n > math.MaxUint16 {
		return fmt.Errorf("The third argument is the packet length, and must be between 0 and %d: %s", math.MaxUint16,
			given(v))
	}
	c.Path.Length = n
	return nil
}
