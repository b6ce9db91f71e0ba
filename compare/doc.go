// Package compare says what has changed between two traces of a path. [Compare] is a pure function of two records.
//
// # What is a difference
//
// A network makes every trace look a little different from the one before. So each thing that may have changed is held
// against what chance does, and is a difference only if chance would show it in at most 1 of 1000 comparisons of an
// unchanged path. What looks changed but may be chance is told apart, as doubtful. These are the rules:
//
//   - State: another answer of the port is a difference as soon as both answers were seen, for nobody answers "open"
//     by chance. An answer in one trace and silence in the other is one if the lost probes that got as far as the
//     target are too many for chance, by Fisher's exact test on answered and lost probes.
//     If the probes are of another kind (protocol, TCP flags), another answer is doubtful: so is loss.
//   - End: both traces get no answer, and the second falls silent at another hop. It is a difference if the hops
//     between fell silent together, by the product of Fisher's exact test of each hop. A single router that is
//     silent is none: routers limit how often they answer.
//   - Route: the traces have to be of the same flow (addresses, ports, IPv6 flow label). Else a router that shares
//     out flows may have chosen another way, and every other way is doubtful. Of the same flow only a router that
//     sends each packet its own way can show other responders. If one trace has n answers and the other m, without a
//     responder in common, chance does that in at most 2^(k-1) s^n (1-s)^m cases, where k is the number of
//     responders and s = n/(n+m). Hops that changed together multiply. So one hop needs 6 probes in each trace, two
//     hops need 3.
//   - Member: responders of one hop that share out packets (or, after --paths, flows) are compared by Fisher's exact
//     test for each responder, divided by their number. A responder that was seen in both traces is no news.
//   - Distance: the target's hop is another. It is a difference if the route is one, or if it is the same flow and
//     one trace has routers at and beyond the other's target (the rule of the route covers that too).
//   - Time: round-trip times of the last hop that both traces know, and of the hops before it from which on all
//     moved the same way, by an exact rank test (Wilcoxon's, one stratum per hop), divided by the number of hops.
//     The median has to move by 1 ms and by a tenth, for hosts are no better clocks than that. Times of one trace
//     are taken for independent: a queue that was full for the whole second of a trace is a difference, and rightly
//     so.
//   - Loss: answered and lost probes of the target by Fisher's exact test. Loss at a router is none: routers answer
//     when they like.
//   - Rewriting: what a router quotes is compared with what the same router quoted, as many bytes, at the same hop.
//     All quotes of one trace have to show a changed field, and none of the other. The address or port that a
//     translation chose is no difference: translators choose from pools. A quoted field that only one trace could
//     show isn't compared.
//   - MTU: another size, if both traces measured it inside a connection, or if what limits it said so. Otherwise
//     firewalls may have dropped the large SYNs, and it is doubtful.
//   - Finding: a finding that is certain or likely in one trace, and absent in the other, and about something that
//     none of the rules above compares.
package compare
