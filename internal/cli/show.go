package cli

// showConfig is what is told of each hop beside addresses and times.
type showConfig struct {
	extensions bool
}

func showOptions() []option {
	return []option{
		{short: 'e', long: "extensions", help: "show what routers say beside their answer: MPLS labels, the interface that a packet came by, the MTU that it is too big for", set: do(func(c *config) { c.show.extensions = true })},
	}
}
