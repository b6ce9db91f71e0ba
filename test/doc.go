// Package test runs the program as users do: the built binary, on networks of real kernel routers.
//
// The rule of this room: the kernel is the oracle, and so are the tools that people trust today. What the program
// prints, sends and returns is compared with what the routers counted, what the wire carried, and what a peer says of
// the same network. Of the program itself nothing is used in here but what reads captured packets.
package test
