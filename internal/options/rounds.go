package options

import "slices"

// noRounds is the fact that the format has no place for rounds.
const (
	noRounds      = "--format " + noRoundsWords
	noRoundsWords = "without a place for rounds"
)

// HoldsRounds reports whether the format has a place for rounds.
func (c *Config) HoldsRounds() bool {
	return c.ForPeople() || slices.Contains([]string{"json", "jsonl", "csv", "mtr-json"}, c.Format)
}
