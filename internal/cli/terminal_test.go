package cli

import "testing"

// Who gets colours.
func TestColored(t *testing.T) {
	for _, tt := range []struct {
		option  string
		width   int
		noColor string
		want    bool
	}{
		{"", 80, "", true}, {"", 0, "", false}, {"", 80, "1", false},
		{"auto", 80, "", true}, {"auto", 0, "", false}, {"auto", 80, "1", false},
		{"always", 0, "", true}, {"always", 80, "1", true},
		{"never", 80, "", false},
	} {
		t.Setenv("NO_COLOR", tt.noColor)
		p := program{}
		p.Terminal.Color, p.width.out = tt.option, tt.width
		if got := p.colored(); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
	_, stderr, code := invoke("--color", "blue", "host")
	if want := "Argument of --color must be auto, always or never: blue\n"; stderr != want || code != 1 {
		t.Errorf("%q, exit code %d", stderr, code)
	}
}
