// Package measure makes whole measurements, as the command does: a trace, and further questions to the network and to
// this host about what it leaves open.
//
// The rule of this room: it prints nothing and reads no command line. What it is doing it says by a function value.
package measure
