//go:build !linux

package wire

// Limits knows of none.
func Limits() error { return nil }
