// Package targets reads lists of what is to be traced, and of what must never be.
//
// A list has one entry per line:
//
//	www.example.com                a name, looked up when its turn comes
//	www.example.com 443            with a port, by number or by name
//	192.0.2.7:443  [2001:db8::7]:443  2001:db8::7
//	10.0.0.0/28    10.0.0.0/28 22  a network: each of its addresses, in random order
//	10.0.0.1-10.0.0.9              a range of addresses
//	# a comment, which may follow an entry too
//
// Lists are read as they are needed, and never kept: a pipe may feed one for hours.
package targets
