package record

// ID names this version of the schema. It stands in every document, and is the $id of trace-1.json.
const ID = "urn:tcptraceroute:trace:1"

// document is a whole trace.
type document struct {
	Schema  string  `json:"schema"`
	Program program `json:"program"`
	Started string  `json:"started"`
	Ended   string  `json:"ended"`
	Target  target  `json:"target"`
	Source  source  `json:"source"`
	Options options `json:"options"`
	found
}

// found is what a trace has found.
type found struct {
	Outcome  outcome   `json:"outcome"`
	Hops     []hop     `json:"hops"`
	Beyond   []hop     `json:"beyond,omitempty"`  // probed beyond the path's end
	Findings []finding `json:"findings,omitzero"` // left out: nobody looked for any
	Explain  *explain  `json:"explain,omitempty"` // left out: it was not asked for
	MTU      *pathMTU  `json:"path_mtu,omitempty"`
	Paths    []path    `json:"paths,omitzero"` // left out: nobody asked
	Graph    *graph    `json:"graph,omitempty"`
	Rounds   *rounds   `json:"rounds,omitempty"` // left out: it is one trace
	Senders  []sender  `json:"senders,omitempty"`
	Totals   totals    `json:"totals"`
}

// startLine, probeLine and endLine are the three sorts of lines. An endLine has the hops without their probes.
type startLine struct {
	Event   string  `json:"event"`
	Schema  string  `json:"schema"`
	Program program `json:"program"`
	Started string  `json:"started"`
	Target  target  `json:"target"`
	Source  source  `json:"source"`
	Options options `json:"options"`
}

type probeLine struct {
	Event string `json:"event"`
	probe
}

type endLine struct {
	Event string `json:"event"`
	Ended string `json:"ended"`
	found
}

type program struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type target struct {
	Host    string `json:"host"` // as typed
	Address string `json:"address"`
	Port    uint16 `json:"port"`
	Service string `json:"service,omitempty"`
}

type source struct {
	Address   string `json:"address"`
	Port      uint16 `json:"port"`
	Interface string `json:"interface,omitempty"`
	Kind      string `json:"interface_kind,omitempty"`
	Hostname  string `json:"hostname,omitempty"`
}

type options struct {
	Family       int         `json:"family"`
	Protocol     string      `json:"protocol"`
	Mode         string      `json:"mode"` // raw, connect
	FirstTTL     int         `json:"first_ttl"`
	MaxTTL       int         `json:"max_ttl"`
	Queries      int         `json:"queries"`
	Parallel     int         `json:"parallel"`
	WaitMS       float64     `json:"wait_ms"`
	Patient      bool        `json:"patient"`
	SpacingMS    float64     `json:"spacing_ms"`
	Flags        []string    `json:"flags"`
	TOS          int         `json:"tos"`
	Length       int         `json:"length_bytes,omitempty"`
	DontFragment bool        `json:"dont_fragment"`
	TCPOptions   []tcpOption `json:"tcp_options,omitempty"`
	SourcePorts  []uint16    `json:"source_ports,omitempty"` // where probes take them in turn
	Strict       bool        `json:"strict"`
	Loose        bool        `json:"loose"`
	Mark         uint32      `json:"mark,omitempty"`
	Names        bool        `json:"names"`
	Owners       bool        `json:"owners,omitempty"`
	LabelSeed    string      `json:"flow_label_seed,omitempty"` // IPv6: hexadecimal
}

type outcome struct {
	Reached  bool   `json:"reached"`
	State    string `json:"state"` // open, closed, other, echo, refused, no_answer, not_sent
	TTL      int    `json:"ttl,omitempty"`
	Address  string `json:"address,omitempty"`
	Mark     string `json:"mark,omitempty"` // of a refusal, the classic one
	Reason   string `json:"reason"`
	Signal   string `json:"signal,omitempty"`
	Error    string `json:"error,omitempty"`
	ExitCode int    `json:"exit_code"`
}

type hop struct {
	TTL        int         `json:"ttl"`
	Sent       int         `json:"sent"`
	Answered   int         `json:"answered"`
	Lost       int         `json:"lost"`
	Failed     int         `json:"failed"`
	Unknown    int         `json:"unknown"`
	Responders []responder `json:"responders"`
	Inferred   string      `json:"inferred,omitempty"` // who stands here by traces to other targets
	Probes     []probe     `json:"probes,omitempty"`
	Notices    []probe     `json:"notices,omitempty"`
}

type responder struct {
	Address     string  `json:"address"`
	AddressNote string  `json:"address_note,omitempty"` // why it can't be a router's
	Name        string  `json:"name,omitempty"`
	AS          *owner  `json:"as,omitempty"`
	Answered    int     `json:"answered"`
	BestMS      float64 `json:"rtt_best_ms"`
	AvgMS       float64 `json:"rtt_avg_ms"`
	WorstMS     float64 `json:"rtt_worst_ms"`
}

// sender sent nothing but notices.
type sender struct {
	Address string `json:"address"`
	Name    string `json:"name,omitempty"`
	AS      *owner `json:"as,omitempty"`
}

type owner struct {
	Number  uint32 `json:"number,omitempty"`
	Name    string `json:"name,omitempty"`
	Country string `json:"country,omitempty"`
}

// probe is what became of a probe, or a notice about one: its fate tells.
type probe struct {
	Order        int         `json:"order,omitempty"` // in a document: its place among all, as they became known
	N            int         `json:"n"`
	Role         string      `json:"role,omitempty"` // distance, control; left out: it asks the hop
	TTL          uint8       `json:"ttl"`
	Fate         string      `json:"fate"`
	Sent         string      `json:"sent,omitempty"`
	Tried        string      `json:"tried,omitempty"`
	SourcePort   *uint16     `json:"source_port,omitempty"` // TCP
	IPID         *uint16     `json:"ip_id,omitempty"`       // IPv4
	FlowLabel    *uint32     `json:"flow_label,omitempty"`  // IPv6
	TOS          uint8       `json:"tos"`
	DontFragment bool        `json:"dont_fragment,omitempty"`
	Length       int         `json:"length_bytes,omitempty"`
	Sequence     *uint32     `json:"sequence,omitempty"`
	Ack          *uint32     `json:"acknowledgement,omitempty"`
	Flags        []string    `json:"flags,omitzero"`
	Window       *uint16     `json:"window,omitempty"`
	TCPOptions   []tcpOption `json:"tcp_options,omitempty"`
	Echo         *echo       `json:"echo,omitempty"`
	Error        string      `json:"error,omitempty"`
	LocalMark    string      `json:"local_mark,omitempty"`
	Reply        *reply      `json:"reply,omitempty"`
}

type reply struct {
	Address     string      `json:"address"`
	Name        string      `json:"name,omitempty"` // in lines only: a document has it with the responders
	AddressNote string      `json:"address_note,omitempty"`
	Received    string      `json:"received"`
	RTTMS       float64     `json:"rtt_ms"`
	Evidence    string      `json:"evidence"`
	Verified    bool        `json:"verified"`
	Kind        string      `json:"kind"`
	TTL         *uint8      `json:"ttl,omitempty"`
	TOS         *uint8      `json:"tos,omitempty"`
	IPID        *uint16     `json:"ip_id,omitempty"`
	Length      int         `json:"length_bytes,omitempty"`
	ICMP        *icmp       `json:"icmp,omitempty"`
	TCP         *tcp        `json:"tcp,omitempty"`
	Echo        *echo       `json:"echo,omitempty"`
	Quote       *quote      `json:"quote,omitempty"`
	Changes     []change    `json:"changes,omitempty"`
	Extensions  *extensions `json:"extensions,omitempty"`
}

type icmp struct {
	Type    uint8  `json:"type"`
	Code    uint8  `json:"code"`
	Mark    string `json:"mark,omitempty"` // the classic one
	MTU     uint32 `json:"mtu_bytes,omitempty"`
	Pointer uint32 `json:"pointer,omitempty"`
}

type tcp struct {
	State      string      `json:"state"` // open, closed, other
	SourcePort uint16      `json:"source_port"`
	Flags      []string    `json:"flags"`
	Sequence   *uint32     `json:"sequence,omitempty"`
	Ack        *uint32     `json:"acknowledgement,omitempty"`
	Window     *uint16     `json:"window,omitempty"`
	TCPOptions []tcpOption `json:"tcp_options,omitempty"`
}

// echo is an ICMP echo message.
type echo struct {
	Identifier uint16 `json:"identifier"`
	Sequence   uint16 `json:"sequence"`
}

// quote is the probe as the responder saw it, as far as it was quoted.
type quote struct {
	Bytes           int         `json:"bytes"`
	Source          string      `json:"source"`
	Destination     string      `json:"destination"`
	TTL             uint8       `json:"ttl"`
	TOS             uint8       `json:"tos"`
	IPID            *uint16     `json:"ip_id,omitempty"`
	FlowLabel       *uint32     `json:"flow_label,omitempty"`
	DontFragment    bool        `json:"dont_fragment,omitempty"`
	Length          int         `json:"length_bytes"`
	IPChecksum      string      `json:"ip_checksum,omitempty"` // good, bad
	SourcePort      *uint16     `json:"source_port,omitempty"`
	DestinationPort *uint16     `json:"destination_port,omitempty"`
	Sequence        *uint32     `json:"sequence,omitempty"`
	Ack             *uint32     `json:"acknowledgement,omitempty"`
	Flags           []string    `json:"flags,omitempty"`
	Window          *uint16     `json:"window,omitempty"`
	TCPChecksum     string      `json:"tcp_checksum,omitempty"`
	Echo            *echo       `json:"echo,omitempty"`
	TCPOptions      []tcpOption `json:"tcp_options,omitempty"`

	// The layout, if it isn't the usual one, see usual.
	Protocol       *uint8  `json:"protocol,omitempty"`
	HeaderLength   *int    `json:"ip_header_bytes,omitempty"`
	MoreFragments  bool    `json:"more_fragments,omitempty"`
	FragmentOffset uint16  `json:"fragment_offset_bytes,omitempty"`
	DataOffset     *int    `json:"tcp_header_bytes,omitempty"`
	OptionsData    *string `json:"tcp_options_data,omitempty"` // hexadecimal
}

// change is a difference between the probe sent and the one quoted.
type change struct {
	Field      string `json:"field"`
	Alteration string `json:"alteration"`       // altered; of a TCP option also removed, overwritten, added
	Option     uint8  `json:"option,omitempty"` // kind of the TCP option
	Sent       string `json:"sent,omitempty"`
	Quoted     string `json:"quoted,omitempty"`
}

type tcpOption struct {
	Kind  uint8   `json:"kind"`
	Name  string  `json:"name,omitempty"`
	Value *uint32 `json:"value,omitempty"` // mss, window_scale; the first of timestamps
	Echo  *uint32 `json:"echo,omitempty"`  // the second of timestamps
	Data  string  `json:"data,omitempty"`  // hexadecimal, of any other
}

type extensions struct {
	Compliant  bool         `json:"compliant"`
	Checksum   string       `json:"checksum"`            // good, bad, absent
	Structure  string       `json:"structure,omitempty"` // the bytes of it all, hexadecimal
	MPLS       []label      `json:"mpls,omitempty"`
	Interfaces []iface      `json:"interfaces,omitempty"`
	Nodes      []router     `json:"nodes,omitempty"`
	Others     []icmpObject `json:"others,omitempty"`
}

type label struct {
	Label  uint32 `json:"label"`
	TC     uint8  `json:"tc"`
	Bottom bool   `json:"bottom"`
	TTL    uint8  `json:"ttl"`
}

type iface struct {
	Role    string `json:"role"`
	Index   uint32 `json:"index,omitempty"`
	Address string `json:"address,omitempty"`
	Name    string `json:"name,omitempty"`
	MTU     uint32 `json:"mtu_bytes,omitempty"`
}

// router is what a router says of itself.
type router struct {
	Address string `json:"address,omitempty"`
	Name    string `json:"name,omitempty"`
}

type icmpObject struct {
	Class uint8  `json:"class"`
	Type  uint8  `json:"type"`
	Data  string `json:"data"` // hexadecimal
}

// finding is what the answers say about the path.
type finding struct {
	Code       string   `json:"code"`
	Confidence string   `json:"confidence"` // certain, likely, possible
	Title      string   `json:"title"`
	Evidence   []string `json:"evidence,omitempty"`
	Advice     string   `json:"advice,omitempty"`
	After      *int     `json:"after_ttl,omitempty"` // where: between these hops; 0 is this host
	Before     *int     `json:"before_ttl,omitempty"`
	Weight     int      `json:"weight"`
}

// explain is how the findings came about.
type explain struct {
	Causes    []considered `json:"causes"`
	Questions []question   `json:"questions"`
	Budget    budget       `json:"budget"`
	Controls  []control    `json:"controls,omitempty"`
	Left      *leaving     `json:"probes_left,omitempty"` // left out: not known
	Unknown   []string     `json:"unknown,omitempty"`
}

// control is an ordinary connection that this host was asked for.
type control struct {
	Outcome    string   `json:"outcome"` // opened, refused, rejected, silent, not-begun
	What       string   `json:"what"`
	SourcePort uint16   `json:"source_port"`
	SYNs       int      `json:"syns"`
	TookMS     float64  `json:"took_ms"`
	From       string   `json:"from,omitempty"`
	Said       string   `json:"said,omitempty"`
	Followed   bool     `json:"followed"`
	Left       *leaving `json:"left,omitempty"`
	Accepted   *int     `json:"accepted,omitempty"`
	Reset      *int     `json:"reset,omitempty"`
	Flawed     int      `json:"flawed,omitempty"`
	Flaw       string   `json:"flaw,omitempty"`
}

// leaving is how packets left this host.
type leaving struct {
	Source      string   `json:"source"`
	Destination string   `json:"destination"`
	Interfaces  []string `json:"interfaces,omitempty"`
	Mark        uint32   `json:"mark,omitempty"`
	TTL         uint8    `json:"ttl,omitempty"`
	Loopback    bool     `json:"loopback,omitempty"`
}

// considered is a cause that may explain what was seen.
type considered struct {
	Code       string   `json:"code"`
	What       string   `json:"what"`
	Excluded   bool     `json:"excluded"`
	ExcludedBy []string `json:"excluded_by,omitempty"`
}

// question is a further trace that was made to tell causes apart.
type question struct {
	Kind       string   `json:"kind"`
	What       string   `json:"what"`
	Protocol   string   `json:"protocol"`
	Flags      []string `json:"flags,omitempty"`
	SourcePort *uint16  `json:"source_port,omitempty"`
	TargetPort *uint16  `json:"target_port,omitempty"`
	FirstTTL   int      `json:"first_ttl"`
	MaxTTL     int      `json:"max_ttl"`
	Queries    int      `json:"queries"`
	Sent       int      `json:"sent"`
	Answered   int      `json:"answered"`
	Lost       int      `json:"lost"`
	Came       string   `json:"came"` // nothing, routers, refusal, target
	TTL        *int     `json:"ttl,omitempty"`
}

// budget is how much might be asked, and how much was.
type budget struct {
	MostProbes     int `json:"most_probes"`
	Sent           int `json:"sent"`
	MostTargetSYNs int `json:"most_target_syns"`
	TargetSYNs     int `json:"target_syns"`
}

type totals struct {
	Probes       int `json:"probes"` // with their outcomes: the next five add up to it
	Answered     int `json:"answered"`
	Lost         int `json:"lost"`
	Failed       int `json:"failed"`
	Unknown      int `json:"unknown"`
	Sent         int `json:"sent"`
	Late         int `json:"late"`
	Duplicates   int `json:"duplicates"`
	Repeats      int `json:"repeats"`
	NearMisses   int `json:"near_misses"`
	BadChecksums int `json:"bad_checksums"`
	Unrelated    int `json:"unrelated"`
	Malformed    int `json:"malformed"`
	LostHere     int `json:"lost_here"`
	OwnAddress   int `json:"own_address,omitempty"`
	ShortQuotes  int `json:"short_quotes,omitempty"`
}

// pathMTU is what a search for the path's MTU has found.
type pathMTU struct {
	Size      int    `json:"bytes"` // 0: not known
	First     int    `json:"first_tried_bytes"`
	Narrow    bool   `json:"narrow"`
	TTL       int    `json:"ttl,omitempty"`
	Address   string `json:"address,omitempty"`
	BlackHole bool   `json:"black_hole"`
	InSession bool   `json:"in_session"`
}
