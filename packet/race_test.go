//go:build race

package packet

// raceFactor is how much longer a decoder may take under the race detector.
const raceFactor = 20
