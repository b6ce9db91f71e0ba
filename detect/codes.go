package detect

// Code names a kind of finding, for programs: it never changes. docs/findings.md explains each.
type Code string

const (
	// What the target says, or what is said in its name.
	PortOpen     Code = "port-open"
	PortClosed   Code = "port-closed"
	PortUnclear  Code = "port-unclear"
	TargetAlive  Code = "target-alive"
	ResetOnPath  Code = "reset-on-path"
	TCPProxy     Code = "tcp-proxy"
	LocalGateway Code = "local-gateway"
	Forwarded    Code = "forwarded-port"

	// Where the probes end without a word.
	FilteredPort Code = "filtered-port"
	FilteredSYN  Code = "filtered-syn"
	FilteredACK  Code = "filtered-ack"
	FilteredTCP  Code = "filtered-tcp"
	PathEnds     Code = "path-ends"
	Filtered     Code = "filtered"
	BrokenBranch Code = "broken-branch"
	OtherWay     Code = "other-way"
	SizeFilter   Code = "size-filter"
	MarkDropped  Code = "mark-dropped"
	HopLimit     Code = "hop-limit"
	RateLimited  Code = "rate-limited"
	StuckService Code = "stuck-service"

	// What this host does itself.
	ThisHost Code = "this-host"

	// What becomes of the answers.
	AnsweredFromElsewhere Code = "answered-from-elsewhere"
	WayBack               Code = "way-back"

	// Where somebody says no.
	RejectedByRouter   Code = "rejected-by-router"
	RejectedByTarget   Code = "rejected-by-target"
	UnreachableNetwork Code = "unreachable-network"
	UnreachableHost    Code = "unreachable-host"
	RoutingLoop        Code = "routing-loop"
	MTULimit           Code = "mtu-limit"
	MTUBlackHole       Code = "mtu-black-hole"

	// What is changed on the way.
	DNAT            Code = "dnat"
	SNAT            Code = "snat"
	HiddenRewrite   Code = "hidden-rewrite"
	MSSClamped      Code = "mss-clamped"
	MSSRaised       Code = "mss-raised"
	OptionsRemoved  Code = "options-removed"
	SeqRewritten    Code = "seq-rewritten"
	IPIDRewritten   Code = "ip-id-rewritten"
	LabelRewritten  Code = "label-rewritten"
	DSCPChanged     Code = "dscp-changed"
	ECNErased       Code = "ecn-erased"
	HeaderRewritten Code = "header-rewritten"

	// What the way is like.
	TTLChanged       Code = "ttl-changed"
	TTLFiltered      Code = "ttl-filtered"
	LoadBalancer     Code = "load-balancer"
	AsymmetricReturn Code = "asymmetric-return"
	ICMPRateLimit    Code = "icmp-rate-limit"
	PacketLoss       Code = "packet-loss"
	LossyBranch      Code = "lossy-branch"
	SlowBranch       Code = "slow-branch"
)

// Codes are all there are.
func Codes() []Code {
	return []Code{
		PortOpen, PortClosed, PortUnclear, TargetAlive, ResetOnPath, TCPProxy, LocalGateway, Forwarded,
		FilteredPort, FilteredSYN, FilteredACK, FilteredTCP, PathEnds, Filtered, BrokenBranch, OtherWay, SizeFilter,
		MarkDropped, HopLimit, RateLimited, ThisHost,
		AnsweredFromElsewhere, StuckService, WayBack,
		RejectedByRouter, RejectedByTarget, UnreachableNetwork, UnreachableHost, RoutingLoop, MTULimit, MTUBlackHole,
		DNAT, SNAT, HiddenRewrite, MSSClamped, MSSRaised, OptionsRemoved, SeqRewritten, IPIDRewritten, LabelRewritten,
		DSCPChanged, ECNErased,
		HeaderRewritten,
		TTLChanged, TTLFiltered, LoadBalancer, AsymmetricReturn, ICMPRateLimit, PacketLoss,
		LossyBranch, SlowBranch,
	}
}
