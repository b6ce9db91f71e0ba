package options

func explainOptions() []Option {
	return []Option{
		{Long: "explain", facts: []fact{{on: func(c *Config) bool { return c.Explain }, not: []conflict{{"--live, --report",
			"--explain can't be used with {}: it explains one trace, not rounds; leave one of them out"}}}},
			Shows: true, Brief: "why it fails, where",
			Help: "say in plain words, after the trace, why it fails, where, and how sure that is; sends some probes of other " +
				"kinds to find out, and first prints the maximum on stderr; with --targets of a few of the targets that were not " +
				"reached, when all have been traced", set: do(func(c *Config) { c.Explain = true })},
	}
}

// ForPeople reports whether the trace is printed as text.
func (c *Config) ForPeople() bool { return c.Format == "" || c.Format == TextFormat }

// HoldsFindings reports whether the format has a place for what is explained.
func (c *Config) HoldsFindings() bool {
	return c.ForPeople() || c.Format == "json" || c.Format == "jsonl" || c.Format == "html"
}
