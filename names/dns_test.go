package names

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer is a DNS server on loopback that says what the test wants.
type nameServer struct {
	addrs map[string]string // by network
	// answer returns the reply to a question; nil: silence.
	answer func(id uint16, q dnsmessage.Question, tcp bool) []byte
}

// newNameServer serves until the test ends.
func newNameServer(t *testing.T, answer func(id uint16, q dnsmessage.Question, tcp bool) []byte) *nameServer {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{
		addrs:  map[string]string{"udp": udp.LocalAddr().String(), "tcp": tcp.Addr().String()},
		answer: answer,
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		udp.Close()
		tcp.Close()
		wg.Wait()
	})
	wg.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := s.reply(buf[:n], false); reply != nil {
				udp.WriteTo(reply, from)
			}
		}
	})
	wg.Go(func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			s.serveStream(c)
		}
	})
	return s
}

// serveStream answers what comes on c until the other side closes it.
func (s *nameServer) serveStream(c net.Conn) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		if reply := s.reply(query, true); reply != nil {
			c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
		}
	}
}

func (s *nameServer) reply(query []byte, tcp bool) []byte {
	id, q, err := question(query)
	if err != nil {
		return nil
	}
	return s.answer(id, q, tcp)
}

// dial stands in for the way to the servers of /etc/resolv.conf.
func (s *nameServer) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, s.addrs[network])
}

func question(query []byte) (uint16, dnsmessage.Question, error) {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		return 0, dnsmessage.Question{}, err
	}
	q, err := p.Question()
	return h.ID, q, err
}

// rr is the data of a resource record, of the type that was asked for.
type rr []byte

// reply builds a message that answers q.
func reply(id uint16, q dnsmessage.Question, h dnsmessage.Header, answers ...rr) []byte {
	h.ID, h.Response, h.RecursionAvailable = id, true, true
	b := dnsmessage.NewBuilder(nil, h)
	must(b.StartQuestions())
	must(b.Question(q))
	must(b.StartAnswers())
	for _, data := range answers {
		must(b.UnknownResource(
			dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60},
			dnsmessage.UnknownResource{Type: q.Type, Data: data}))
	}
	msg, err := b.Finish()
	must(err)
	return msg
}

func must(err error) {
	if err != nil {
		panic(err) // the test is wrong, not what it tests
	}
}

// domain encodes a name of these labels, whatever bytes are in them.
func domain(labels ...string) rr {
	var data rr
	for _, l := range labels {
		data = append(data, byte(len(l)))
		data = append(data, l...)
	}
	return append(data, 0)
}
