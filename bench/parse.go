package main

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// answer is one address at one TTL, as a tool printed it.
type answer struct {
	ttl  int
	addr netip.Addr
	rtt  time.Duration
	has  bool // a time was printed for it
}

// parseLines reads the form that traceroute(8) gave to the world, with what tcptraceroute and scamper made of it: a
// line begins with the TTL, or with blanks where another address of the same hop follows; an address is followed by
// its times. Stars, marks (!X, [open], <EPERM>) and lines of another form say nothing about addresses.
func parseLines(out string) []answer {
	var all []answer
	ttl := 0
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if n, err := strconv.Atoi(words[0]); err == nil && n > 0 && n < 256 && len(words) > 1 {
			ttl = n
			words = words[1:]
		} else if line[0] != ' ' {
			ttl = 0 // a title
		}
		if ttl > 0 {
			all = append(all, parseHop(ttl, words)...)
		}
	}
	return all
}

func parseHop(ttl int, words []string) (all []answer) {
	var now answer // without an address before the first
	silent := true // no time was printed for it yet
	flush := func() {
		if silent && now.addr.IsValid() {
			all = append(all, now)
		}
	}
	for i, w := range words {
		if a, err := netip.ParseAddr(strings.Trim(w, "()")); err == nil {
			flush()
			now, silent = answer{ttl: ttl, addr: a.Unmap().WithZone("")}, true
			continue
		}
		if i+1 < len(words) && words[i+1] == "ms" && now.addr.IsValid() {
			if ms, err := strconv.ParseFloat(w, 64); err == nil {
				timed := now
				timed.rtt, timed.has = milliseconds(ms), true
				all, silent = append(all, timed), false
			}
		}
	}
	flush()
	return all
}

// parseMTR reads mtr --raw: "h HOP ADDRESS" names a hop counted from 0, "p HOP MICROSECONDS SEQUENCE" is an answer of
// the address that was named last there.
func parseMTR(out string) (all []answer) {
	names := make(map[int]netip.Addr)
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) < 3 {
			continue
		}
		hop, err := strconv.Atoi(words[1])
		if err != nil || hop < 0 || hop > 254 {
			continue
		}
		switch words[0] {
		case "h":
			if a, err := netip.ParseAddr(words[2]); err == nil {
				names[hop] = a.Unmap()
			}
		case "p":
			us, err := strconv.Atoi(words[2])
			if a := names[hop]; err == nil && a.IsValid() {
				all = append(all, answer{hop + 1, a, time.Duration(us) * time.Microsecond, true})
			}
		}
	}
	return all
}

// parseNmap reads the table of nmap --traceroute: HOP, RTT, ADDRESS.
func parseNmap(out string) (all []answer) {
	table := false
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) > 1 && words[0] == "HOP" {
			table = true
			continue
		}
		if len(words) == 0 {
			table = false
		}
		if !table || len(words) < 3 {
			continue
		}
		ttl, err := strconv.Atoi(words[0])
		addr, aerr := netip.ParseAddr(strings.Trim(words[len(words)-1], "()"))
		if err != nil || aerr != nil || ttl < 1 || ttl > 255 {
			continue
		}
		a := answer{ttl: ttl, addr: addr}
		if ms, err := strconv.ParseFloat(words[1], 64); err == nil && words[2] == "ms" {
			a.rtt, a.has = milliseconds(ms), true
		}
		all = append(all, a)
	}
	return all
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
