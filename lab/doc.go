// Package lab builds networks of real Linux routers in network namespaces, for end-to-end tests and benchmarks: the
// kernel is the oracle.
//
// Its rules:
//
//   - A namespace has no name. It is held by a file descriptor of this process alone, so that the whole network
//     vanishes with the process, even after SIGKILL. No namespace is ever linked to the machine's own network.
//   - A network is ready when the function that builds it returns: addresses without duplicate address detection,
//     neighbours entered by hand, so that no first packet waits a second for an answer to its solicitation.
//   - Routers answer as fast as they are asked: the limits on ICMP are off, and a lab fails its test at the end if a
//     router limited anything all the same.
//   - What a test changes (rules, routes, sysctls, links) is undone when that test ends, so that subtests share a
//     network.
//
// The programs ip and nft do what a test asks for in their own words; the building itself is done by netlink.
//
// A test of a program in it:
//
//	c := lab.Chain(t, lab.ChainOptions{Hops: 9, Silent: []int{4}})
//	c.Target.Listen(t, 80)
//	c.Hop(6).Reject(t, "tcp dport 443", 13, 1)
//	record := c.Links[0].A.Capture(t)
//	cmd := c.Source.Command(t.Context(), "tcptraceroute", "-n", c.Target.V4().String())
//	out, err := cmd.Output()
//	packets := record.Stop(t)
//
// Only root can do this, or an ordinary user inside a user namespace: give the tests a TestMain that calls [Main].
// Where neither is possible, [New] skips the test and says so on standard error; with CI=true in the environment it
// fails it.
package lab
