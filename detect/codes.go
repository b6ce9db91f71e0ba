package detect

// Code names a kind of finding, for programs: it never changes.
type Code string

const (
	PortOpen   Code = "port-open"
	PortClosed Code = "port-closed"
)

// Codes are all there are.
func Codes() []Code {
	return []Code{PortOpen, PortClosed}
}
