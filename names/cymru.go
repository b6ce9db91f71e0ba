package names

import (
	"context"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Team Cymru's zones tell the origin of an address, and the name of an AS, in TXT records:
//
//	31.108.90.216.origin.asn.cymru.com.  "23028 | 216.90.108.0/24 | US | arin | 1998-09-25"
//	AS23028.asn.cymru.com.               "23028 | US | arin | 2002-01-04 | TEAM-CYMRU, US"
const (
	originZone4 = ".origin.asn.cymru.com."
	originZone6 = ".origin6.asn.cymru.com."
	asZone      = ".asn.cymru.com."

	// maxRecord is how much of a record is looked at. Real ones have less than 200 bytes.
	maxRecord  = 512
	maxRecords = 16
)

// asNames are the names of AS numbers, each asked for once.
type asNames struct {
	mu    sync.Mutex
	known map[uint32]func() string
}

// ownerByDNS asks the zones about an address.
func (r *Resolver) ownerByDNS(ctx context.Context, a netip.Addr) (o Owner) {
	records, _ := r.txt(ctx, originName(a))
	o.ASN, o.Country = origin(records)
	if o.ASN == 0 {
		return o
	}
	r.as.mu.Lock()
	name := r.as.known[o.ASN]
	if name == nil {
		if r.as.known == nil {
			r.as.known = make(map[uint32]func() string)
		}
		name = sync.OnceValue(func() string {
			records, _ := r.txt(ctx, "AS"+strconv.FormatUint(uint64(o.ASN), 10)+asZone)
			return asName(records)
		})
		r.as.known[o.ASN] = name
	}
	r.as.mu.Unlock()
	o.Name = name()
	return o
}

// originName is the name under which the origin of an address stands: bytes or half bytes, the last first.
func originName(a netip.Addr) string {
	var b strings.Builder
	if a.Is4() {
		for i, x := range slices.Backward(a.AsSlice()) {
			b.WriteString(strconv.Itoa(int(x)))
			if i > 0 {
				b.WriteByte('.')
			}
		}
		return b.String() + originZone4
	}
	for i, x := range slices.Backward([]byte(hex.EncodeToString(a.AsSlice()))) {
		b.WriteByte(x)
		if i > 0 {
			b.WriteByte('.')
		}
	}
	return b.String() + originZone6
}

// fields are the parts of a record, without the spaces around them.
func fields(record string) []string {
	all := strings.Split(record[:min(len(record), maxRecord)], "|")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}

// origin reads the answer about an address: the first AS of the longest prefix. asn is 0 where there is none.
func origin(records []string) (asn uint32, where string) {
	longest := -1
	for _, record := range records[:min(len(records), maxRecords)] {
		f := fields(record)
		if len(f) < 3 {
			continue
		}
		numbers := strings.Fields(f[0])
		prefix, err := netip.ParsePrefix(f[1])
		if len(numbers) == 0 || err != nil || prefix.Bits() <= longest {
			continue
		}
		if n, ok := parseASN(numbers[0]); ok {
			asn, where, longest = n, country(f[2]), prefix.Bits()
		}
	}
	return asn, where
}

// asName reads the answer about an AS. The country at the name's end stands in a field of its own too.
func asName(records []string) string {
	for _, record := range records[:min(len(records), maxRecords)] {
		f := fields(record)
		if len(f) < 5 {
			continue
		}
		name := strings.Join(f[4:], "|")
		if c := country(f[1]); c != "" {
			name = strings.TrimSuffix(name, ", "+c)
		}
		if name != "" {
			return name[:min(len(name), maxName)]
		}
	}
	return ""
}
