package cli

// sessionConfig is what is asked for that needs an open connection.
type sessionConfig struct {
	inSession bool
	mtu       bool
}

func sessionOptions() []option {
	return []option{
		{long: "in-session", facts: []fact{{on: func(c *config) bool { return c.inSession }, raw: true, not: []conflict{{
			"-A, -E, -l, -p, -P, --track-port, --mark, --syn, --mss, --accecn, --explain, --report, --live",
			"{} doesn't go with --in-session, whose probes are those of an ordinary connection",
		}}}},
			help: "open a connection and send the probes inside it, as segments that a stateful firewall takes for its own; " +
				"falls back to SYNs, and says why, if no connection can be opened",
			set: do(func(c *config) { c.inSession = true })},
		{long: "mtu", facts: []fact{{on: func(c *config) bool { return c.mtu }, raw: true, not: []conflict{
			{"--report, --live", "--mtu doesn't go with what goes round by round"},
			{noMTU, "--mtu doesn't go with {}: its result is shown as text, json or jsonl"},
		}}}, help: "after the trace: how large a packet gets to the target, which hop narrows it, and whether it " +
			"says so or swallows larger ones; measured inside a connection", set: do(func(c *config) { c.mtu = true })},
	}
}

// mtuBySYNs is how the MTU is measured where there is no connection.
const mtuBySYNs = "measuring the MTU by SYNs with a payload, which may not pass"
