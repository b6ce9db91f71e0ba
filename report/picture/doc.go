// Package picture draws the path of a trace, left to right by TTL: as text for Graphviz and Mermaid, and as SVG.
//
// The rule of this room: what is drawn is a drawing first, a pure function of the trace; its forms only set it. Text
// in it is printable ASCII, cut where it is too long for any picture, and escaped by the rules of the form, so that
// nobody's name draws something of its own.
package picture
