package report

import (
	"regexp"
	"testing"
	"time"
)

var graphics = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Colours are sequences around words: without them the text is the same, byte for byte, and each is ended.
func TestColors(t *testing.T) {
	results := script(t, "A B *", "! A>10.6.35.86:80 A", "o c e", "f u A!10")
	results[4].Recv = results[4].Sent.Add(slow)
	results[5].Recv = results[5].Sent.Add(slow - 1)
	plain, colored := classic(t, 3, ClassicOptions{DNAT: true}, results), classic(t, 3, ClassicOptions{DNAT: true, Color: true}, results)
	if got := graphics.ReplaceAllString(colored, ""); got != plain {
		t.Errorf("without colours:\n%q, want\n%q", got, plain)
	}
	const want = " 1  198.18.1.2  T ms\n    198.18.1.3  T ms \x1b[2m*\x1b[0m\n" +
		" 2  \x1b[35m<EPERM>\x1b[0m\n\x1b[33m      Detected DNAT to 10.6.35.86\x1b[0m\n     198.18.1.2 \x1b[33mT ms\x1b[0m  T ms\n" +
		" 3  198.18.3.2 \x1b[32m[open]\x1b[0m  T ms \x1b[31m[closed]\x1b[0m  T ms \x1b[32m[open, ecn]\x1b[0m  T ms\n"
	if got := regexp.MustCompile(`[0-9]+\.[0-9]{3} ms`).ReplaceAllString(colored, "T ms"); got != want {
		t.Errorf("colours:\n%q, want\n%q", got, want)
	}
	if slow < 100*time.Millisecond {
		t.Error("every other path is slow")
	}
}
