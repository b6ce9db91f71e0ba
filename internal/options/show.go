package options

import "errors"

// showConfig is what is told of each hop beside addresses and times.
type showConfig struct {
	Extensions bool

	Owners    bool
	AsDNS     bool     // the DNS may be asked for owners
	Databases []string // of owners, that the user names; without any the usual ones
	Found     []string // the usual ones that are there
}

func showOptions() []Option {
	return []Option{
		{Short: 'e', Long: "extensions", Shows: true,
			Help: "show what routers say beside their answer: MPLS labels, the interface that a packet came by, the MTU that " +
				"it is too big for", set: do(func(c *Config) { c.Show.Extensions = true })},
		{Short: 'a', Shows: true,
			Help: "show number and name of the AS that each hop is in, and the country, by MMDB files of MaxMind, " +
				"DB-IP or IPinfo; without --mmdb those in the usual places, such as /usr/share/GeoIP",
			set: do(func(c *Config) { c.Show.Owners = true })},
		{Long: "mmdb", Arg: "file", Help: "look owners up in this MMDB file, may be given more than once; implies -a",
			set: func(c *Config, v string) error {
				if v == "" {
					return errors.New("Argument of --mmdb must be the name of a file")
				}
				c.Show.Owners = true
				c.Show.Databases = append(c.Show.Databases, v)
				return nil
			}},
		{Long: "as-dns", Help: "ask the DNS who owns public addresses that no MMDB file knows (Team Cymru, who thereby see " +
			"the addresses that you trace); implies -a", set: do(func(c *Config) { c.Show.Owners, c.Show.AsDNS = true, true })},
	}
}
