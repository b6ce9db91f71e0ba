package options

// sessionConfig is what is asked for that needs an open connection.
type sessionConfig struct {
	InSession bool
	MTU       bool
}

func sessionOptions() []Option {
	return []Option{
		{Long: "in-session", facts: []fact{{on: func(c *Config) bool { return c.InSession }, raw: true, not: []conflict{{
			"-A, -E, -l, -p, -P, --track-port, --mark, --syn, --mss, --accecn, --explain, --report, --live",
			"{} doesn't go with --in-session, whose probes are those of an ordinary connection",
		}}}},
			Help: "open a connection and send the probes inside it, as segments that a stateful firewall takes for its own; " +
				"falls back to SYNs, and says why, if no connection can be opened",
			set: do(func(c *Config) { c.InSession = true })},
		{Long: "mtu", facts: []fact{{on: func(c *Config) bool { return c.MTU }, raw: true, not: []conflict{
			{"--report, --live", "--mtu doesn't go with {}, which goes round by round"},
			{noMTU, "--mtu doesn't go with {}: its result is shown as text, json or jsonl"},
		}}}, Help: "after the trace: how large a packet gets to the target, which hop narrows it, and whether it " +
			"says so or swallows larger ones; measured inside a connection", set: do(func(c *Config) { c.MTU = true })},
	}
}
