package cli

import (
	"fmt"

	"go.example/tcptraceroute/internal/words"
)

// printPort prints a source port that takes the path which the user wants one for.
func (s *showing) printPort() error {
	way, err := s.WantedPath(s.made.Graph)
	if err != nil {
		return err
	}
	port, err := s.m.PortOf(s.ctx, s.made.Graph, way)
	if err != nil {
		return s.worded(err)
	}
	if port == 0 {
		return words.NoSourcePort(way+1, s.Path.Target.Addr().Is6())
	}
	if _, err := fmt.Fprintln(s.AllPaths.Port, port); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	s.aside(words.PortsMayNotCount(s.made))
	return nil
}
