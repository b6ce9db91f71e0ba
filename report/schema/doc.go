// Package schema writes a trace as JSON: one document, or a line an event.
//
// The rule of this room: what it writes is described by trace-1.json, and nothing but a new version of that may
// change what a field is called or means. So all types here are its own, and values of other packages are copied into
// them by name. A field that has nothing to say is left out; times have their unit in the name; numbers are numbers.
// Every byte is printable ASCII or a line feed, whatever the network said.
package schema
