package pcapng_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"go.example/tcptraceroute/report"
	"go.example/tcptraceroute/report/pcapng"
	"go.example/tcptraceroute/report/scene"
	"go.example/tcptraceroute/trace"
)

// Every probe that was sent and every answer to one is in the capture, with its time, and nothing else is; another library
// reads it.
func TestTrace(t *testing.T) {
	var file, document bytes.Buffer
	w, err := pcapng.NewWriter(&file, "tcptraceroute 1.0", "eth0", "a test")
	if err != nil {
		t.Fatal(err)
	}
	var want []pcapng.Packet
	unwanted := 0
	s := scene.Scene{
		Network: "seed 9\nrouter 198.51.100.1 delay=1ms dup=1\nrouter 198.51.100.2 late=1/1001ms\nrouter *\nrouter 198.51.100.4 spoof=1ms/9ms\ntarget 203.0.113.9 open",
		Path:    trace.PathOptions{Wait: time.Second, Patient: true, Length: 41},
	}
	s.Options.Observe = func(e trace.Event) {
		p, ok := pcapng.Of(e)
		if !ok {
			unwanted++
			return
		}
		want = append(want, p)
		if err := w.Write(p); err != nil {
			t.Error(err)
		}
	}
	s.Play(t, func(run *report.Run, t *trace.Trace) report.Writer { return report.NewJSON(&document, run, t) })

	r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	if r.LinkType() != layers.LinkTypeRaw || r.SectionInfo().Application != "tcptraceroute 1.0" || r.SectionInfo().Comment != "a test" {
		t.Errorf("link type %v, section %+v", r.LinkType(), r.SectionInfo())
	}
	for i, p := range want {
		data, info, err := r.ReadPacketData()
		if err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		if !bytes.Equal(data, p.Data) || !info.Timestamp.Equal(p.At) || info.Length != len(p.Data) {
			t.Errorf("packet %d: %v %x, want %v %x", i, info, data, p.At, p.Data)
		}
	}
	if _, _, err := r.ReadPacketData(); !errors.Is(err, io.EOF) {
		t.Errorf("something follows: %v", err)
	}
	if i, err := r.Interface(0); err != nil || i.Name != "eth0" {
		t.Errorf("%+v, %v", i, err)
	}
	var comments strings.Builder
	for _, p := range want {
		if p.Outbound != strings.HasPrefix(p.Comment, "probe ") {
			t.Errorf("%q, outbound: %v", p.Comment, p.Outbound)
		}
		comments.WriteString(p.Comment + "\n")
	}
	for _, c := range []string{
		"probe 1, TTL 30\n", "probe 2, TTL 1\n", "answers probe 2, TTL 1, after 2.000 ms: time exceeded\n",
		"duplicate: answers probe 2, TTL 1, after 2.000 ms: time exceeded\n",
		"late: answers probe 3, TTL 2, after 1003.000 ms: time exceeded\n", ": SYN|ACK\n",
	} {
		if !strings.Contains(comments.String(), c) {
			t.Errorf("no %q in\n%s", c, &comments)
		}
	}
	if unwanted == 0 {
		t.Error("nothing was left out: the forgeries of hop 4 should have been")
	}
}

// Whatever length data and comments have, blocks stay aligned.
func TestLengths(t *testing.T) {
	var file bytes.Buffer
	w, err := pcapng.NewWriter(&file, "", "", "")
	if err != nil {
		t.Fatal(err)
	}
	const most = 70
	for n := range most {
		if err := w.Write(pcapng.Packet{At: time.Unix(1, int64(n)), Data: make([]byte, n), Comment: strings.Repeat("c", n)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Write(pcapng.Packet{Comment: strings.Repeat("x", 1<<17)}); err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for n := range most {
		data, info, err := r.ReadPacketData()
		if err != nil || len(data) != n || info.Timestamp.Nanosecond() != n {
			t.Errorf("%d: %d bytes, %v, %v", n, len(data), info.Timestamp, err)
		}
	}
}
