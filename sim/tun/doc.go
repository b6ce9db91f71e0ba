// Package tun puts a simulated network behind a TUN device, so that any program can trace through it: a [Front] is
// the model of package sim under the machine's clock. It answers what the host of the device sends, and where a
// path's target is real (sim.Target.Real), carries the packets on to a second device, behind which a Linux kernel
// answers.
//
//	near := host.TUN(t, "tun0")                        // see package lab; then addresses and routes
//	f, err := tun.Start(near, model, tun.Options{})
//	...                                                // programs trace
//	record, err := f.Stop()                            // what passed, and when
//
// How it keeps time. One thread of its own does everything, so that there is no hand-over and no lock to wait for. It
// has real-time priority where that is allowed, and gives it up whenever it is busy for longer than a millisecond:
// else it would keep the kernel's own packet thread from its work. It sleeps to shortly before an answer is due
// ([Spin]) and looks at the clock until it is; what happens inside the model, such as a packet's coming to the fifth
// router, needs no more than the kernel's timer. A packet of the host is taken at the instant at which it is read,
// and the record holds the instant at which its answer was written: the difference is the true round-trip time, what
// a program shows on top of it is the program's error, and what the thread's waking up took, which a capture on the
// device (lab.Interface.Capture) tells. On a machine of two cores with a load of 10, half of the answers were written
// less than 20 µs late, and 99 of 100 less than 300 µs. What is left to disturb it is its own process: garbage is
// collected with all threads stopped. So a program that measures keeps little garbage.
//
// The host's kernel resets what no socket wants by itself. So the scenario must say NoHostRST.
package tun
