//go:build !race

package packet

const raceFactor = 1
