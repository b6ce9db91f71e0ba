// Command bench sends every TCP traceroute that it finds on this machine through the same networks, and says what each
// took, found and missed:
//
//	go run ./bench                                                  everything, about a quarter of an hour
//	go run ./bench -paths 40 -tools tcptraceroute-ours,traceroute   a minute or two
//	go run ./bench -quick                                           does it work?
//
// Its rules:
//
//   - The network sees what a tool does, and is asked for the truth: what a tool says of itself is compared, never
//     believed.
//   - All tools get the same paths in the same state: each run meets a network that nothing has passed yet.
//   - They take turns, and who comes first changes from path to path.
//   - It installs nothing, and no packet leaves the network namespaces that it makes.
//
// README.md says how to read what it prints.
package main
