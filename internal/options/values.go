package options

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.example/tcptraceroute/trace"
)

// What options take that is more than a decimal number.

// A 0, and a TTL that is too large, are refused by PathOptions, in the old program's words and order.

// ttl takes a TTL.
func ttl(name string, set func(c *Config, ttl int)) func(*Config, string) error {
	return func(c *Config, v string) error {
		if !Digits(v) {
			return notNumeric(name)
		}
		n, err := strconv.Atoi(v)
		if err != nil {
			n = math.MaxInt // too large for any
		}
		set(c, orInvalid(n))
		return nil
	}
}

// setQueries takes the number of probes per hop.
func setQueries(c *Config, v string) error {
	set := func(c *Config, n int) { c.Path.Queries = n }
	if strings.Trim(v, "0") == "" && v != "" {
		set(c, orInvalid(0))
		return nil
	}
	return number("-q", 1, maxQueries, set)(c, v)
}

// setWait takes seconds.
func setWait(c *Config, v string) error {
	before, after, _ := strings.Cut(v, ".")
	set := func(c *Config, d time.Duration) { c.Path.Wait, c.Path.Patient = d, true }
	switch {
	case !Digits(before + after):
		return notNumeric("-w")
	case strings.Trim(v, "0") == "":
		set(c, -time.Second)
		return nil
	}
	return seconds("-w", trace.LeastWait, maxWait*time.Second, set)(c, v)
}

// setTOS takes the TOS byte, or the name of a DSCP, which is its upper six bits (RFC 2474).
func setTOS(c *Config, v string) error {
	n, err := strconv.ParseUint(v, 10, 64)
	if hex, ok := hexadecimal(v); ok {
		n, err = strconv.ParseUint(hex, 16, 64)
	} else if dscp, ok := dscps()[strings.ToLower(v)]; ok {
		n, err = uint64(dscp)<<2, nil
	} else if Digits(v) && err != nil {
		n, err = math.MaxUint64, nil // too large for any
	}
	if err != nil || n > 255 {
		return fmt.Errorf("Argument of -t must be between 0 and 255, or the name of a DSCP (ef, cs0 to cs7, af11 to af43, "+
			"le, va): %s", given(v))
	}
	c.Path.TOS = int(n)
	return nil
}

// dscps are the names of the differentiated services codepoints.
func dscps() map[string]int {
	all := map[string]int{
		"be": 0, "df": 0, // best effort, default
		"le": 1,  // lower effort, RFC 8622
		"va": 44, // voice admit, RFC 5865
		"ef": 46, // expedited forwarding, RFC 3246
	}
	for class := range 8 {
		all[fmt.Sprintf("cs%d", class)] = class << 3 // RFC 2474
	}
	for class := 1; class <= 4; class++ {
		for drop := 1; drop <= 3; drop++ {
			all[fmt.Sprintf("af%d%d", class, drop)] = class<<3 | drop<<1 // RFC 2597
		}
	}
	return all
}

// setMark takes a mark as ip-rule(8) and nft(8) write it.
func setMark(c *Config, v string) error {
	n, err := strconv.ParseUint(v, 10, 32)
	if hex, ok := hexadecimal(v); ok {
		n, err = strconv.ParseUint(hex, 16, 32)
	}
	if err != nil {
		return fmt.Errorf("Argument of --mark must be between 0 and %d, or hexadecimal, 0x0 to 0xffffffff: %s",
			uint32(math.MaxUint32), given(v))
	}
	c.Mark = uint32(n)
	return nil
}

// hexadecimal cuts the prefix off a hexadecimal number.
func hexadecimal(v string) (digits string, ok bool) {
	if digits, ok = strings.CutPrefix(v, "0x"); !ok {
		digits, ok = strings.CutPrefix(v, "0X")
	}
	return digits, ok
}
