// Package expect holds a trace against conditions, such as
//
//	reached && hops <= 15 && rtt < 50ms && loss < 5% && !via(AS64500) && !finding(dnat)
//
// The grammar and the types are those of the expression library github.com/expr-lang/expr, of which only comparisons,
// arithmetic and logic are let in, and these words:
//
//   - reached: the target answered, or an ICMP error says why the packets go no further
//   - state: how the path ends; open, closed, other, refused, no_answer and not_sent are its values
//   - hops: how many hops away the target is
//   - rtt, rtt_min, rtt_max: the median, the shortest and the longest round-trip time of the target's answers; times
//     are written 50ms, 1.5s or 800us
//   - loss: the share of the probes to the target that nobody answered, in percent; the sign may be left out
//   - mtu: the path MTU in bytes, if it was measured
//   - via(ADDRESS), via(PREFIX), via(AS64500): a router that answered has this address, or is in this network
//   - finding(CODE): the trace has this finding, however sure
//
// What is not known fails: if the target gave no answer, neither rtt < 50ms nor rtt > 50ms holds. A condition has no
// loops, at most 1000 bytes, and takes no time to speak of.
package expect
