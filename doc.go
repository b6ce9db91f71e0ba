// Package tcptraceroute is empty: it holds the test of which room may import which. The program is in
// cmd/tcptraceroute; ARCHITECTURE.md is the map.
package tcptraceroute
