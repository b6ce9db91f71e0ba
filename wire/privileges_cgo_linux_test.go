//go:build cgo

package wire

import (
	"strings"
	"testing"
)

// With cgo there may be threads that Go doesn't know.
func TestDropNeedsAllThreads(t *testing.T) {
	r, err := startHelper(t, nil, "/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	var d dropped
	r.do("drop", &d)
	if !d.Refused || !strings.Contains(d.Error, "CGO_ENABLED=0") {
		t.Errorf("Drop: %+v", d)
	}
	r.end()
}
