package detect_test

import (
	"testing"

	"go.example/tcptraceroute/detect"
	"go.example/tcptraceroute/packet"
)

// Linux was asked: it drops what is damaged, signed though nobody asked for it, or brings back a timestamp that was not
// sent. It takes an urgent pointer, a FIN, a window of 0, an option that it doesn't know: there only firewalls don't.
func TestFlawOf(t *testing.T) {
	offered := options(t, packet.OptionMSS, 2, packet.OptionSACKPermitted, 0, packet.OptionWindowScale, 1)
	stamped, _ := offered.WithTimestamps(7, 0)
	echo := func(ecr uint32) packet.Options {
		o, _ := offered.WithTimestamps(3, ecr)
		return o
	}
	for _, tt := range []struct {
		name    string
		r       packet.Reply
		offered packet.Options
		want    string
		refused bool
	}{
		{name: "as it should be", r: accepting(echo(7)), offered: stamped},
		{name: "of the SYN that was repeated", r: accepting(echo(8)), offered: stamped},
		{name: "no timestamp brought back", r: accepting(echo(0)), offered: stamped},
		{name: "without options", r: accepting(packet.Options{}), offered: stamped},
		{name: "an MSS that was not offered", r: accepting(options(t, packet.OptionMSS, 2))},
		{name: "NOPs and an end", r: accepting(packet.ParseOptions([]byte{1, 1, 0, 99}))},
		{name: "another timestamp", r: accepting(echo(9)), offered: stamped,
			want: "with a timestamp brought back that was not sent", refused: true},
		{name: "signed", r: accepting(options(t, packet.OptionMSS, 2, 19, 16)), offered: stamped,
			want: "with TCP option 19 (an MD5 signature), which its SYN did not ask for", refused: true},
		{name: "signed by TCP-AO", r: accepting(options(t, 29, 14)), offered: stamped,
			want: "with TCP option 29 (a signature, TCP-AO), which its SYN did not ask for", refused: true},
		{name: "signed, as was asked", r: accepting(options(t, 19, 16)), offered: options(t, 19, 16)},
		{name: "timestamps that were not offered", r: accepting(echo(9)), offered: offered,
			want: "with TCP option 8, which its SYN did not offer"},
		{name: "malformed", r: accepting(packet.ParseOptions([]byte{2, 4, 5, 180, 4, 40})), offered: offered,
			want: "with malformed TCP options"},
		{name: "urgent", r: with(accepting(offered), func(r *packet.Reply) { r.TCP.Flags |= packet.URG }), offered: offered,
			want: "with the flags SYN|ACK|URG"},
		{name: "damaged", r: with(accepting(offered), func(r *packet.Reply) { r.Checksum = packet.CheckBad }),
			offered: offered, want: "with a wrong checksum", refused: true},
		{name: "damaged before TCP", r: with(accepting(offered), func(r *packet.Reply) { r.IP.Checksum = packet.CheckBad }),
			offered: offered, want: "with a wrong checksum", refused: true},
		{name: "a fragment", r: with(accepting(offered), func(r *packet.Reply) { r.Checksum = packet.CheckUnknown }),
			offered: offered, want: "in fragments"},
		{name: "IP options", r: with(accepting(offered), func(r *packet.Reply) { r.IP.Options = []byte{7, 3, 4, 0} }),
			offered: offered, want: "with IP options"},
	} {
		if got := detect.FlawOf(&tt.r, tt.offered, []uint32{7, 8}); got != (detect.Flaw{What: tt.want, Refused: tt.refused}) {
			t.Errorf("%s: %+v, want %q, %t", tt.name, got, tt.want, tt.refused)
		}
	}
}

// options are some, each of a kind with so many bytes.
func options(t *testing.T, kinds ...int) (o packet.Options) {
	t.Helper()
	for i := 0; i < len(kinds); i += 2 {
		var err error
		if o, err = o.With(uint8(kinds[i]), make([]byte, kinds[i+1])...); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// accepting is a SYN+ACK with these options.
func accepting(o packet.Options) packet.Reply {
	return packet.Reply{
		Kind: packet.KindTCP, Checksum: packet.CheckGood,
		TCP: packet.TCP{Flags: packet.SYN | packet.ACK, Options: o},
	}
}

func with(r packet.Reply, change func(*packet.Reply)) packet.Reply {
	change(&r)
	return r
}
