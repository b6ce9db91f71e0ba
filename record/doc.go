// Package record holds a measurement as plain values, and reads and writes it as JSON: one document, or a line for each
// event.
//
// The rule of this room: the JSON is described by trace-1.json, and nothing but a new version of that may change what a
// field is called or means. So the types of the JSON are its own, and values of other packages are copied into them by
// name. A field that has nothing to say is left out; times have their unit in the name; numbers are numbers. Every byte
// is printable ASCII or a line feed, whatever the network said.
package record
