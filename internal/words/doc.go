// Package words says, in the words of the command line, what is not in the report of a measurement: what it does, what
// is odd about it, and what goes wrong. Each function makes a line of plain values; who calls it prints the line.
package words
